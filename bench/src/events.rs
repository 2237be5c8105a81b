//! Events as a web site sends them. The same ones in every run.

use serde_json::{Map, Value, json};

/// What `$pageview` has in practice: about 2 KB, 43 properties.
pub fn small(count: usize) -> Vec<String> {
    (0..count).map(|number| event(number, pageview(number))).collect()
}

/// An event that somebody fills with all they have: about 20 KB, 400 properties.
pub fn large(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| {
            let mut properties = pageview(number);
            for index in properties.len()..400 {
                let key = format!("attribute_{}", scatter(index) % 100_000);
                properties.insert(format!("{key}_{index}"), filler(number, index));
            }
            event(number, properties)
        })
        .collect()
}

/// As [`small`], with so many further properties.
pub fn wide(count: usize, more: usize) -> Vec<String> {
    (0..count)
        .map(|number| {
            let mut properties = pageview(number);
            for index in 0..more {
                properties.insert(format!("attribute_{index}"), filler(number, index));
            }
            event(number, properties)
        })
        .collect()
}

fn event(number: usize, properties: Map<String, Value>) -> String {
    json!({
        "uuid": format!("018f3a5e-7c1e-7000-8000-{:012x}", scatter(number) % (1 << 48)),
        "event": "$pageview",
        "distinct_id": format!("user-{}", scatter(number) % 5000),
        "team_id": 1,
        "ip": format!("203.0.113.{}", number % 256),
        "site_url": "https://app.example.com",
        "timestamp": format!("2024-05-{:02}T{:02}:{:02}:00.000Z", number % 28 + 1, number % 24, number % 60),
        "now": "2024-05-20T10:00:00.123Z",
        "properties": properties,
    })
    .to_string()
}

fn pageview(number: usize) -> Map<String, Value> {
    let page = ["pricing", "docs/installation", "blog/2024/05/launch", "account/settings"];
    let path = page[number % page.len()];
    let url = format!("https://Example.com/{path}/?utm_source=newsletter&session={number}#top");
    let properties = json!({
        "$os": "Mac OS X",
        "$os_version": "10.15.7",
        "$browser": "Chrome",
        "$browser_version": 124,
        "$browser_language": "en-US",
        "$device_type": "Desktop",
        "$current_url": url,
        "$host": "example.com",
        "$pathname": format!("/{path}/"),
        "$raw_user_agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
        "$screen_height": 1117,
        "$screen_width": 1728,
        "$viewport_height": 992,
        "$viewport_width": 1728,
        "$lib": "web",
        "$lib_version": "1.131.4",
        "$insert_id": format!("{:016x}", scatter(number)),
        "$time": 1_716_199_200.123 + number as f64,
        "distinct_id": format!("user-{}", scatter(number) % 5000),
        "$device_id": format!("018f3a5e-7c1e-7abc-9def-{:012x}", number),
        "$user_id": format!("user-{}", scatter(number) % 5000),
        "$initial_referrer": "https://www.google.com/",
        "$initial_referring_domain": "www.google.com",
        "$referrer": "https://news.ycombinator.com/item?id=40000000",
        "$referring_domain": "news.ycombinator.com",
        "$session_id": format!("018f3a5e-8000-7000-a000-{:012x}", number / 7),
        "$window_id": format!("018f3a5e-8000-7000-b000-{:012x}", number / 3),
        "$pageview_id": format!("018f3a5e-8000-7000-c000-{:012x}", number),
        "$active_feature_flags": ["new-navigation", "dark-mode", "checkout-v2"],
        "$feature/new-navigation": true,
        "$feature/dark-mode": "control",
        "$feature/checkout-v2": false,
        "$sent_at": "2024-05-20T10:00:00.100Z",
        "$geoip_city_name": "Amsterdam",
        "$geoip_country_name": "Netherlands",
        "$geoip_country_code": "NL",
        "$geoip_latitude": 52.3759,
        "$geoip_longitude": 4.8975,
        "$geoip_time_zone": "Europe/Amsterdam",
        "token": "phc_000000000000000000000000000000000000000000",
        "plan": if number.is_multiple_of(3) { "scale" } else { "free" },
        "price": 29.9,
        "title": format!("Example: everything about {path}, and number {number} of our pages"),
    });
    match properties {
        Value::Object(properties) => properties,
        _ => Map::new(),
    }
}

fn filler(number: usize, index: usize) -> Value {
    let noise = scatter(number * 1000 + index);
    match index % 4 {
        0 => json!(noise % 1_000_000),
        1 => json!(format!("a value of some words, {noise}")),
        2 => json!(noise.is_multiple_of(2)),
        _ => json!(format!("https://example.com/{:x}", noise % 1_000_000)),
    }
}

/// A number that looks like chance and is always the same: one step of SplitMix64.
fn scatter(number: usize) -> u64 {
    let mut bits = (number as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
