//! Any JSON as plugin.json and as a configuration: never a panic, and defaults pass their own checks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use source::manifest::Manifest;

fuzz_target!(|texts: (&str, &str)| {
    let Ok(json) = serde_json::from_str::<Value>(texts.0) else { return };
    let Ok(manifest) = Manifest::parse(&json) else { return };
    let defaults = manifest.defaults();
    let _ = manifest.check_required(&manifest.effective(&defaults, &Default::default()), &[]);
    if let Ok(Value::Object(given)) = serde_json::from_str(texts.1)
        && let Ok(normalised) = manifest.normalise(&given)
    {
        let (settings, secrets) = manifest.split_secrets(normalised.values);
        assert!(settings.keys().all(|key| !manifest.is_secret(key)));
        assert!(secrets.keys().all(|key| manifest.is_secret(key)));
    }
});
