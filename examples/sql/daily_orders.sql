-- Orders by day and store. Parameter: run_date, the day that the job runs for.
MERGE INTO gold.orders.daily_orders AS t
USING (
  SELECT CAST(ordered_at AS DATE) AS order_date, store_id,
         count(DISTINCT order_id) AS orders,
         sum(quantity * unit_price) AS revenue
  FROM silver.orders.order_lines
  WHERE CAST(ordered_at AS DATE) BETWEEN date_sub(:run_date, 3) AND :run_date
  GROUP BY ALL
) AS s
ON t.order_date = s.order_date AND t.store_id = s.store_id
WHEN MATCHED THEN UPDATE SET *
WHEN NOT MATCHED THEN INSERT *;
