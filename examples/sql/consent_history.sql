-- What each customer agreed to, and from when to when.
CREATE OR REPLACE TABLE silver.customers.consent_history AS
SELECT customer_id, channel, granted,
       changed_at AS valid_from,
       lead(changed_at) OVER (PARTITION BY customer_id, channel ORDER BY changed_at) AS valid_to,
       lead(changed_at) OVER (PARTITION BY customer_id, channel ORDER BY changed_at) IS NULL AND granted AS is_current
FROM bronze.customers.consents;
