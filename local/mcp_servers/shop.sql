-- The sample database: a fictitious shop.
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL);
CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL NOT NULL, stock INTEGER NOT NULL);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers, product INTEGER NOT NULL REFERENCES products,
    quantity INTEGER NOT NULL, ordered TEXT NOT NULL
);
INSERT INTO customers VALUES (1, 'Anna Berg', 'Oslo'), (2, 'Ben Ode', 'Lagos'), (3, 'Carla Ruiz', 'Bilbao');
INSERT INTO products VALUES (1, 'kettle', 39.9, 12), (2, 'teapot', 24.5, 0), (3, 'cup', 6.0, 140);
INSERT INTO orders VALUES
    (1, 1, 1, 1, '2026-01-14'), (2, 1, 3, 4, '2026-01-14'), (3, 2, 2, 1, '2026-02-02'), (4, 3, 3, 12, '2026-02-20'),
    (5, 2, 3, 2, '2026-03-08');
