-- Stock of all sites as of today, goods in transit included.
INSERT INTO silver.inventory.stock_snapshot
SELECT current_date() AS snapshot_date, s.site, s.sku,
       s.quantity AS on_hand,
       coalesce(t.quantity, 0) AS in_transit
FROM bronze.inventory.stock AS s
LEFT JOIN (
  SELECT site, sku, sum(quantity) AS quantity FROM bronze.inventory.goods_in_transit GROUP BY ALL
) AS t USING (site, sku)
QUALIFY row_number() OVER (PARTITION BY s.site, s.sku ORDER BY s._loaded_at DESC) = 1;
