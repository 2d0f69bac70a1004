-- Yesterday's sales by shop. Parameter: days, how many days to write anew.
CREATE TABLE IF NOT EXISTS gold.sales.daily_sales (sales_date DATE, shop STRING, receipts BIGINT, amount DECIMAL(18, 2));

MERGE INTO gold.sales.daily_sales AS t
USING (
  SELECT CAST(sold_at AS DATE) AS sales_date, shop, count(*) AS receipts, sum(amount) AS amount
  FROM bronze.sales.receipts
  WHERE CAST(sold_at AS DATE) >= date_sub(current_date(), CAST(:days AS INT))
  GROUP BY ALL
) AS s
ON t.sales_date = s.sales_date AND t.shop = s.shop
WHEN MATCHED THEN UPDATE SET *
WHEN NOT MATCHED THEN INSERT *;
