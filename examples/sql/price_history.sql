-- Every price that a product ever had, without gaps.
CREATE OR REPLACE TABLE silver.pricing.price_history AS
SELECT sku, price, changed_at AS valid_from,
       coalesce(lead(changed_at) OVER (PARTITION BY sku ORDER BY changed_at), TIMESTAMP '9999-12-31') AS valid_to,
       lead(changed_at) OVER (PARTITION BY sku ORDER BY changed_at) IS NULL AS is_current
FROM bronze.pricing.price_changes;
