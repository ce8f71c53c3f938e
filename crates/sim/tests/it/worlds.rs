//! World files: the samples, every switch, and what is refused.

use hashsweep_sim::{
    ChargeMode, Dialects, Duplicates, Fault, Feed, InvalidMode, OverLimit, Paging, Period, Product, Quota,
    RetryAfterForm, ScriptHits, Status, UnknownMode, Uppercase, When, World,
};
use std::{fs, path::Path, time::Duration};

#[test]
fn the_samples_can_be_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/worlds");
    let mut n_read = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        World::from_toml(&fs::read_to_string(&path).unwrap())
            .unwrap_or_else(|error| panic!("{path:?}: {error}"));
        n_read += 1;
    }
    assert!(n_read >= 4, "{n_read}");
}

#[test]
fn an_empty_file_is_the_default_world() {
    assert_eq!(format!("{:?}", World::from_toml("").unwrap()), format!("{:?}", World::default()));
}

#[test]
fn every_switch_is_set_by_its_name() {
    let world = World::from_toml(
        r#"
        unknown_mode = "http404_if_all"
        invalid_mode = "http400"
        charge_mode = "returned_found"
        order = "request"
        duplicates = "each"
        uppercase = "invalid"
        over_limit = "truncate"
        rate_limit_rps = "off"
        retry_after = "date"
        retry_after_s = 7
        allow_last = true
        null_fields = true
        gzip = true
        dialect = "both"
        latency_ms = 20
        latency_per_hash_ms = 3
        disliked = ["AB"]
        proxy_body_limit = 4000
        monitoring = false
        script_hits = "lookups"
        starts_at = "1970-01-02T00:00:01Z"
        shares = { malicious = 1000, suspicious = 0, known = 0 }
        feed = { hours = 3, paging = "date_added" }

        [[account]]
        username = "u"
        password = "p"
        daily_quota = 5
        monthly_quota = 50
        entitlements = ["TCA-0101", "TCTF-0001"]

        [[quota]]
        period = "day"
        limit = 9
        "#,
    )
    .unwrap();
    assert_eq!(world.unknown_mode, UnknownMode::Http404IfAll);
    assert_eq!(world.invalid_mode, InvalidMode::Http400);
    assert_eq!(world.charge_mode, ChargeMode::ReturnedFound);
    assert_eq!(
        (world.shuffle, world.duplicates, world.uppercase),
        (false, Duplicates::Each, Uppercase::Invalid)
    );
    assert_eq!((world.over_limit, world.rate_limit_rps), (OverLimit::Truncate, None));
    assert_eq!(
        (world.retry_after, world.retry_after_form),
        (Some(Duration::from_secs(7)), RetryAfterForm::Date)
    );
    assert!(world.allow_last && world.null_fields && world.gzip);
    assert_eq!((world.dialects, world.latency), (Dialects::Both, Duration::from_millis(20)));
    assert_eq!(world.latency_per_hash, Duration::from_millis(3));
    assert_eq!((world.disliked, world.proxy_body_limit), (["ab".to_owned()].into(), Some(4000)));
    assert_eq!((world.monitoring, world.script_hits), (false, ScriptHits::Lookups));
    assert_eq!((world.starts_at, world.feed), (Some(86_401), Feed { hours: 3, paging: Paging::DateAdded }));
    assert_eq!(world.verdicts.status_of(&"0".repeat(40)), Some(Status::Malicious));
    assert_eq!((world.accounts[0].username.as_str(), world.accounts[0].daily_quota), ("u", Some(5)));
    assert_eq!(world.entitlements["u"], [Product::FileReputation, Product::Feed].into());
    let quota = |products, users, period, limit| Quota { products, users, period, limit };
    assert_eq!(
        world.quotas,
        [
            quota(vec![Product::FileReputation], vec!["u".into()], Period::Month, 50),
            quota(vec![], vec![], Period::Day, 9),
        ]
    );
}

#[test]
fn every_kind_of_fault_can_be_scripted() {
    let check = |table: &str, when: &When, fault: &Fault| {
        let world = World::from_toml(&format!("[[fault]]\n{table}"))
            .unwrap_or_else(|error| panic!("{table}: {error}"));
        assert_eq!((&world.script[0].when, &world.script[0].fault), (when, fault), "{table}");
    };
    let status =
        Fault::Status { code: 503, body: "b".into(), headers: vec![("retry-after".into(), "1".into())] };
    check("kind = 'status'\ncode = 503\nbody = 'b'\nheaders = { retry-after = '1' }", &When::Always, &status);
    check(
        "kind = 'redirect'\nto = 'x'\nrequests = [1, 3]",
        &When::Listed(vec![1, 3]),
        &Fault::Redirect { to: "x".into() },
    );
    check(
        "kind = 'delay'\ndelay_ms = 5\nbetween = [2, 4]",
        &When::Between(2, 4),
        &Fault::Delay(Duration::from_millis(5)),
    );
    check("kind = 'hang_before_charge'\nfrom = 9", &When::From(9), &Fault::HangBeforeCharge);
    check(
        "kind = 'hang_after_charge'\nevery = 2",
        &When::EveryNth(2.try_into().unwrap()),
        &Fault::HangAfterCharge,
    );
    check(
        "kind = 'reset_mid_body'\nper_1000 = 5\nseed = 3",
        &When::Chance { per_1000: 5, seed: 3 },
        &Fault::ResetMidBody,
    );
    check("kind = 'short_body'\nper_1000 = 5", &When::Chance { per_1000: 5, seed: 0 }, &Fault::ShortBody);
    check("kind = 'bad_json'", &When::Always, &Fault::BadJson);
    let portal = Fault::NotJson { body: "b".into(), content_type: "text/html".into() };
    check("kind = 'not_json'\nbody = 'b'", &When::Always, &portal);
    check("kind = 'extra_entry'", &When::Always, &Fault::ExtraEntry);
    check("kind = 'doubled_entry'", &When::Always, &Fault::DoubledEntry);
    check("kind = 'omit_hashes'\nhashes = 2", &When::Always, &Fault::OmitHashes(2));
    check("kind = 'gateway_timeout_after_charge'", &When::Always, &Fault::GatewayTimeoutAfterCharge);
}

#[test]
fn what_cannot_be_meant_is_refused_with_a_reason() {
    let check = |text: &str, part: &str| {
        let error = World::from_toml(text).unwrap_err().to_string();
        assert!(error.starts_with("read the world file: ") && error.contains(part), "{text}: {error}");
    };
    check("unknown_modes = 'entry'", "unknown field `unknown_modes`");
    check("unknown_mode = 'entries'", "unknown variant `entries`");
    check("rate_limit_rps = -1", "a number of requests or \"off\"");
    check("rate_limit_rps = 'none'", "a number of requests or \"off\"");
    check("starts_at = 'tomorrow'", "starts_at");
    check("script_hits = 'bulk'", "unknown variant `bulk`");
    check("shares = { malicious = 600, suspicious = 400, known = 1 }", "more than 1000");
    check("verdict_list = 'md5'", "header");
    check("verdicts = 'demo'\nverdict_list = 'md5'", "exclude one another");
    check("[[account]]\nusername = 'u'", "password");
    check(
        "[[account]]\nusername = 'u'\npassword = 'p'\n[[account]]\nusername = 'u'\npassword = 'q'",
        "there twice",
    );
    check("[[account]]\nusername = 'u'\npassword = 'p'\nentitlements = ['TCA-0102']", "TCA-0102");
    check("[[quota]]\nlimit = 1", "period");
    check("[[fault]]\nrequests = [1]", "needs a kind");
    check("[[fault]]\nkind = 'flood'", "no kind of fault named flood");
    check("[[fault]]\nkind = 'status'", "needs code");
    check("[[fault]]\nkind = 'bad_json'\ncode = 500", "bad_json has no code");
    check("[[fault]]\nkind = 'bad_json'\nfrom = 1\nevery = 2", "exclude one another");
    check("[[fault]]\nkind = 'bad_json'\nevery = 0", "nonzero");
    check("[[fault]]\nkind = 'bad_json'\nseed = 1", "goes with per_1000");
    check("[[fault]]\nkind = 'bad_json'\nwhen = 1", "unknown field `when`");
}
