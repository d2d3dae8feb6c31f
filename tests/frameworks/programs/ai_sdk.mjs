// The Vercel AI SDK with both providers.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const [url, name, prompt] = [process.argv[2], "claude-sonnet-5-5", "What is 2+2?"];
const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: "any" });
const models = {
  "": openai(name),
  chat_: openai.chat(name),
  anthropic_: createAnthropic({ baseURL: `${url}/v1`, apiKey: "any" })(name),
};
const schema = z.object({ n: z.number().int() });

const add = tool({
  description: "Add two numbers.",
  inputSchema: z.object({ a: z.number(), b: z.number() }),
  execute: async ({ a, b }) => `${a + b}`,
});

async function streamed(model) {
  let text = "";
  for await (const piece of streamText({ model, prompt }).textStream) text += piece;
  return text;
}

async function agent(model) {
  return (await generateText({ model, prompt, tools: { add }, stopWhen: stepCountIs(3) })).text;
}

const results = {};
for (const [prefix, model] of Object.entries(models)) {
  const calls = {
    plain: async () => (await generateText({ model, prompt })).text,
    streaming: () => streamed(model),
    agent: () => agent(model),
    structured: async () => (await generateObject({ model, prompt, schema })).object.n,
  };
  for (const [call, make] of Object.entries(calls)) {
    try {
      results[prefix + call] = await make();
    } catch (error) {
      results[prefix + call] = `${error.name}: ${error.message}`.slice(0, 500);
    }
  }
}
console.log(JSON.stringify(results));
