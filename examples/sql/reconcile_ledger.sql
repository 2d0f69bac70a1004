-- Our revenue against the ledger, by store and day. Parameter: tolerance, in the currency of the ledger.
CREATE OR REPLACE TABLE silver.finance.reconciliation AS
SELECT r.revenue_date, r.store_id, r.net, l.amount AS ledger,
       abs(r.net - l.amount) <= CAST(:tolerance AS DECIMAL(18, 2)) AS agrees
FROM (
  SELECT revenue_date, store_id, sum(net) AS net FROM silver.finance.revenue_lines GROUP BY ALL
) AS r
FULL OUTER JOIN (
  SELECT posting_date AS revenue_date, store_id, sum(amount) AS amount
  FROM bronze.finance.ledger_entries WHERE account BETWEEN '800000' AND '899999' GROUP BY ALL
) AS l USING (revenue_date, store_id);
