//! Writing plugin_metric. As with plugin_stat, sessions only append, and what has become much is folded.

use engine::Metric;
use pgrx::spi::{SpiClient, SpiResult};

use super::plans;

/// Appends values of configs that are still there.
pub fn write(client: &mut SpiClient<'_>, values: &[(i32, Metric, f64)]) -> SpiResult<()> {
    if values.is_empty() {
        return Ok(());
    }
    let configs: Vec<i32> = values.iter().map(|(config, ..)| *config).collect();
    let names: Vec<&str> = values.iter().map(|(_, metric, _)| metric.name.as_str()).collect();
    let kinds: Vec<&str> = values.iter().map(|(_, metric, _)| metric.kind.name()).collect();
    let numbers: Vec<f64> = values.iter().map(|(.., value)| *value).collect();
    plans::update(
        client,
        // unnest is unqualified: with several arrays it is syntax, not a function.
        "INSERT INTO posthog_plugins.plugin_metric (config_id, name, kind, value, since)
         SELECT n.config_id, n.name, n.kind, n.value, pg_catalog.now()
           FROM unnest($1::integer[], $2::text[], $3::text[], $4::float8[])
                    AS n (config_id, name, kind, value)
          WHERE EXISTS (SELECT FROM posthog_plugins.plugin_config AS c WHERE c.id = n.config_id)",
        &[configs.into(), names.into(), kinds.into(), numbers.into()],
    )?;
    Ok(())
}

/// Makes one row for each metric. Rows that another session is folding are left to it.
pub fn fold(client: &mut SpiClient<'_>) -> SpiResult<()> {
    client.update(
        "WITH folded AS (
             DELETE FROM posthog_plugins.plugin_metric
              WHERE id IN (SELECT id FROM posthog_plugins.plugin_metric FOR UPDATE SKIP LOCKED)
             RETURNING *)
         INSERT INTO posthog_plugins.plugin_metric (config_id, name, kind, value, since)
         SELECT config_id, name, kind,
                CASE kind
                    WHEN 'sum' THEN pg_catalog.sum(value)
                    WHEN 'max' THEN pg_catalog.max(value)
                    ELSE pg_catalog.min(value)
                END,
                pg_catalog.min(since)
           FROM folded
          WHERE EXISTS (SELECT FROM posthog_plugins.plugin_config AS c WHERE c.id = config_id)
          GROUP BY config_id, name, kind",
        None,
        &[],
    )?;
    Ok(())
}
