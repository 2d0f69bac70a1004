-- The tables that the module orders merges into, made once. Bronze tables are made by the notebook that fills them.
CREATE SCHEMA IF NOT EXISTS silver.orders;
CREATE SCHEMA IF NOT EXISTS gold.orders;
CREATE TABLE IF NOT EXISTS silver.orders.order_lines (
  order_id BIGINT, line_no INT, sku STRING, quantity INT, unit_price DECIMAL(10,2),
  store_id STRING, ordered_at TIMESTAMP
);
CREATE TABLE IF NOT EXISTS gold.orders.daily_orders (
  order_date DATE, store_id STRING, orders BIGINT, revenue DECIMAL(20,2)
);
