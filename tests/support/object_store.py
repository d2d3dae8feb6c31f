"""An S3 on a port of 127.0.0.1 with an empty bucket: moto in server mode."""

from typing import Any

from tests.support.parameters import long

# Parameters of a module's fixture `variables`. What does not depend on the store is tried with S3 in `make slow` alone.
STORES = ("directory", long("s3"))


class ObjectStore:
    """A running server; `variables` let a process reach its bucket, `keys` lists the objects there."""

    BUCKET = "files-of-tests"

    def __enter__(self) -> "ObjectStore":
        import boto3
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        self.variables = {
            "FILES_URL": f"s3://{self.BUCKET}/prefix",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "secret-of-the-store",
            "AWS_REGION": "us-east-1",
        }
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="secret-of-the-store",
        )
        self.client.create_bucket(Bucket=self.BUCKET)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._server.stop()

    @property
    def keys(self) -> list[str]:
        """The names of all objects."""
        found = self.client.list_objects_v2(Bucket=self.BUCKET).get("Contents", [])
        return [one["Key"] for one in found]

    def empty(self) -> None:
        """Remove all objects."""
        for key in self.keys:
            self.client.delete_object(Bucket=self.BUCKET, Key=key)
