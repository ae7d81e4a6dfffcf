//! The data files: complete, consistent, and with a source for every figure.

use fleetsim::catalog::{
    AcceleratorFields, Catalog, Figure, FigureRow, LinkClass, ModelFields, OfferFields, Precision, Purchase,
};
use fleetsim::units::{Bytes, Duration, Usd, UsdPerHour};

fn all_figures(catalog: &Catalog) -> Vec<FigureRow> {
    let mut rows: Vec<FigureRow> = catalog.accelerators().flat_map(|entry| entry.figures()).collect();
    rows.extend(catalog.models().flat_map(|entry| entry.figures()));
    rows.extend(catalog.offers().flat_map(|entry| entry.figures()));
    rows.extend(catalog.providers().flat_map(|entry| entry.figures()));
    rows.extend(catalog.hosted_models().flat_map(|entry| entry.figures()));
    rows.extend(catalog.frictions().flat_map(|entry| entry.figures()));
    rows
}

#[test]
fn every_reference_resolves() {
    assert_eq!(Catalog::embedded().check_references(), Ok(()));
}

#[test]
fn every_known_figure_has_a_source_and_a_date() {
    let rows = all_figures(&Catalog::embedded());
    assert!(rows.len() > 3000, "{}", rows.len());
    for row in rows.iter().filter(|row| row.value.is_some()) {
        assert!(!row.source.is_empty() && row.source != "given by the user", "{row:?}");
        // A short name that sources.toml lacks would show up as a single word in kebab case.
        for part in row.source.split("; ") {
            assert!(part.contains([' ', '.', '/']), "{row:?}");
        }
        assert!(row.date.is_some(), "{row:?}");
    }
}

/// Dimensions and published totals are two sources for one number: a typo in either shows here.
#[test]
fn dimensions_give_the_published_parameter_counts() {
    let catalog = Catalog::embedded();
    let (mut checked, mut wrong) = (0, Vec::new());
    for model in catalog.models() {
        let Ok(shape) = model.architecture() else { continue };
        let Ok(published) = model.parameters() else { continue };
        checked += 1;
        let error = shape.parameter_count() as f64 / published as f64 - 1.0;
        if error.abs() > 0.02 {
            wrong.push(format!(
                "{}: {} for {published} ({:+.1} %)",
                model.name,
                shape.parameter_count(),
                error * 100.0
            ));
        }
        if shape.feed_forward.experts.is_some() {
            // Makers count the input embedding among the active parameters, or do not.
            let active = model.active_parameters().expect("a mixture states its active parameters") as f64;
            let with = shape.active_parameter_count() as f64;
            let without = with - shape.embedding_parameters() as f64;
            let error = [with, without].map(|count| (count / active - 1.0).abs());
            if error[0].min(error[1]) > 0.05 {
                wrong.push(format!("{}: active {with} or {without} for {active}", model.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked >= 60, "only {checked} models have a shape");
}

#[test]
fn the_fact_files_are_all_here() {
    let catalog = Catalog::embedded();
    let names =
        ["T4", "A10G", "A100-SXM4-80", "H100-SXM5", "MI300X", "TPU v5p (chip)", "GB200 (per GPU)", "Gaudi3"];
    for name in names {
        assert!(catalog.accelerator(name).is_ok(), "{name}");
    }
    assert!(catalog.accelerators().count() >= 47 + 6);
    assert!(catalog.offers().count() >= 144);
    for provider in
        ["aws", "gcp", "azure", "coreweave", "lambda", "oci", "nebius", "openai", "Hugging Face", "replicate"]
    {
        assert!(catalog.provider(provider).is_ok(), "{provider}");
    }
}

#[test]
fn fact_files_agree_with_the_catalogue() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/facts");
    let Ok(mut accelerators) = csv::Reader::from_path(format!("{folder}/accelerators.csv")) else {
        println!("skipped: ../shared/facts is not there");
        return;
    };
    let catalog = Catalog::embedded();
    let column = |headers: &csv::StringRecord, name: &str| {
        headers.iter().position(|header| header == name).expect("the column is in the file")
    };
    let headers = accelerators.headers().expect("a header").clone();
    for record in accelerators.records() {
        let record = record.expect("a well-formed line");
        let card = catalog.accelerator(&record[0]).expect("every accelerator of the facts");
        let number = |name: &str| record[column(&headers, name)].parse::<f64>().ok();
        let rounded = |value: f64| (value * 1e3).round() / 1e3;
        let half = card.peak(Precision::Fp16).or(card.peak(Precision::Bf16)).ok();
        assert_eq!(
            half.map(|peak| rounded(peak.as_f64() / 1e12)),
            number("fp16_bf16_tflops"),
            "{}",
            card.name
        );
        let fp8 = card.peak(Precision::Fp8).ok();
        assert_eq!(fp8.map(|peak| rounded(peak.as_f64() / 1e12)), number("fp8_tflops"), "{}", card.name);
        assert_eq!(card.memory().ok().map(Bytes::as_gb), number("memory_gb"), "{}", card.name);
        let bandwidth = card.memory_bandwidth().ok().map(|rate| rounded(rate.as_f64() / 1e9));
        assert_eq!(bandwidth, number("memory_bw_gb_s"), "{}", card.name);
        let link = card.link_bandwidth().ok().map(|rate| rounded(rate.as_f64() / 1e9));
        assert_eq!(link, number("link_gb_s_per_device_unidir"), "{}", card.name);
        assert_eq!(card.tdp().ok().map(|power| power.as_f64()), number("tdp_w"), "{}", card.name);
    }
    let mut prices =
        csv::Reader::from_path(format!("{folder}/prices.csv")).expect("the price file beside it");
    let headers = prices.headers().expect("a header").clone();
    let (mut lines, mut found) = (0, 0);
    for record in prices.records() {
        let record = record.expect("a well-formed line");
        lines += 1;
        let name = format!("{}/{}", &record[0], &record[1]);
        let Ok(offer) = catalog.offer(&name) else { continue };
        found += 1;
        let price = record[column(&headers, "on_demand_usd_per_hour")].parse().ok().map(UsdPerHour::from_f64);
        // The same name in another case is another offer of the file; an auction floor is not a price.
        if offer.provider != "mithril" && offer.name == name {
            assert_eq!(offer.price(Purchase::OnDemand).ok(), price, "{name}");
        }
        assert_eq!(offer.accelerators_per_node().ok(), record[3].parse().ok(), "{name}");
    }
    // The others were renamed: `(GPU line only)` and the like are doubts, not names.
    assert!(found > 110 && lines == 144, "{found} of {lines}");
}

#[test]
fn what_is_unknown_asks_for_its_key() {
    let catalog = Catalog::embedded();
    let error = catalog.accelerator("V100").expect("an alias").peak(Precision::Fp8).expect_err("no fp8 unit");
    assert_eq!(error.key, "accelerators.V100-SXM2-16.fp8_tflops");
    let error = catalog.model("gpt-4").expect("an entry").architecture().expect_err("never published");
    assert_eq!((error.figure, error.key.as_str()), ("layers", "models.gpt-4.layers"));
    let offer = catalog.offer("lambda/gpu_8x_h100_sxm5").expect("an offer");
    assert_eq!(offer.price(Purchase::Spot).expect_err("lambda has no spot").figure, "spot_usd_h");
}

#[test]
fn a_wrong_name_gets_the_nearest_ones() {
    let catalog = Catalog::embedded();
    let error = catalog.model("llama-3.1-70").expect_err("not a name");
    assert_eq!(error.nearest[0], "llama-3.1-70b");
    let error = catalog.offer("aws/p5.48xlargee").expect_err("not a name");
    assert_eq!(error.nearest[0], "aws/p5.48xlarge");
    assert!(catalog.accelerator("zzzz").expect_err("not a name").nearest.is_empty());
}

#[test]
fn provenance_and_doubt_are_kept() {
    let catalog = Catalog::embedded();
    let card = catalog.accelerator("B300-SXM").expect("an entry");
    let int8 = card.peaks[Precision::Int8 as usize].as_ref().expect("a figure, though doubtful");
    assert!(int8.doubt.as_ref().is_some_and(|doubt| doubt.contains("conflict")), "{int8:?}");
    assert!(int8.source.contains("aiconfigurator"));
    let offer = catalog.offer("aws/p5.48xlarge").expect("an entry");
    let reserved = offer.price_figure(Purchase::Reserved3y).expect("a price");
    assert!(reserved.source.contains("Netflix"));
    let on_demand = offer.price_figure(Purchase::OnDemand).expect("a price");
    assert_eq!(on_demand.date.as_deref(), Some("2026-07-20"));
    assert_eq!(card.interconnect.class, LinkClass::Switch);
}

#[test]
fn providers_know_their_rules() {
    let catalog = Catalog::embedded();
    let aws = catalog.provider("aws").expect("an entry");
    assert_eq!(aws.billing_granularity(), Ok(Duration::from_secs(1)));
    assert_eq!(aws.billing_minimum(), Ok(Duration::from_secs(60)));
    assert_eq!(aws.spot_notice(), Ok(Duration::from_secs(120)));
    // 60 TB in a month: 10 at 0.09, 40 at 0.085, 10 at 0.07.
    let cost = aws.egress().expect("a price list").cost_of(Bytes(0), Bytes::from_gb(60_000.0));
    assert_eq!(cost, Usd::from_micros(900_000_000 + 3_400_000_000 + 700_000_000));
}

#[test]
fn a_hosted_request_costs_what_its_tokens_cost() {
    let catalog = Catalog::embedded();
    let hosted = catalog.hosted_model("openai/davinci").expect("an entry");
    // seed_facts D7: 0.02 USD per 1,000 tokens, prompt and output alike.
    assert_eq!(hosted.cost_of(1000, 0, 1000), Ok(Usd::from_micros(40_000)));
}

#[test]
fn a_scenario_overrides_and_adds() {
    let mut catalog = Catalog::embedded();
    let fields: AcceleratorFields =
        toml::from_str("name = \"H100-SXM5\"\nmemory_gb = 96").expect("valid fields");
    catalog.add_accelerator(&fields).expect("a valid entry");
    let card = catalog.accelerator("H100").expect("the alias still answers");
    assert_eq!((card.memory().map(Bytes::as_gb), card.peak(Precision::Bf16).is_ok()), (Ok(96.0), true));
    assert_eq!(card.memory.as_ref().map(|figure| figure.source.as_str()), Some("given by the user"));

    let fields: ModelFields =
        toml::from_str("name = \"mine\"\nlike = \"llama-3.1-8b\"\nlayers = 40\nparameters = 1e10")
            .expect("valid");
    catalog.add_model(&fields).expect("a valid entry");
    let model = catalog.model("mine").expect("the new entry");
    assert_eq!(model.architecture().map(|shape| (shape.layers, shape.hidden)), Ok((40, 4096)));
    assert_eq!(catalog.model("llama-3.1-8b").expect("unchanged").layers.as_ref().map(|f| f.value), Some(32));

    let fields: OfferFields = toml::from_str(
        "name = \"lab/box\"\naccelerator = \"H100\"\naccelerators_per_node = 8\non_demand_usd_h = 30.0",
    )
    .expect("valid fields");
    catalog.add_offer(&fields).expect("a valid entry");
    assert!(catalog.check_references().is_err_and(|errors| errors.len() == 1), "the provider is missing");

    let private = Figure {
        value: UsdPerHour::from_f64(20.0),
        source: "private price list".to_owned(),
        date: None,
        doubt: None,
    };
    catalog.override_price("aws/p5.48xlarge", Purchase::OnDemand, private).expect("an offer");
    let offer = catalog.offer("aws/p5.48xlarge").expect("an offer");
    assert_eq!(offer.price(Purchase::OnDemand), Ok(UsdPerHour::from_f64(20.0)));
}

#[test]
fn impossible_entries_are_refused() {
    let mut catalog = Catalog::embedded();
    for text in [
        "name = \"X\"\nmemory_gb = -1",
        "name = \"X\"\nmemory_gb = nan",
        "name = \"X\"\nmemory_gb = 0",
        "name = \"\"\nmemory_gb = 1",
        "name = \"X\"\nlike = \"no such card\"",
        "name = \"X\"\nmemory_gb = 1\ndoubts = { memmory_gb = \"?\" }",
        "name = \"X\"\ncards_per_server = 0",
    ] {
        let fields: AcceleratorFields = toml::from_str(text).expect("well-formed");
        let error = catalog.add_accelerator(&fields).expect_err(text);
        assert!(catalog.accelerator("X").is_err(), "{error}");
    }
    assert!(
        toml::from_str::<AcceleratorFields>("name = \"X\"\nmemory = 1").is_err(),
        "unknown keys are refused"
    );
    let fields: ModelFields = toml::from_str("name = \"m\"\nheads = 8\nkv_heads = 16").expect("well-formed");
    assert!(catalog.add_model(&fields).is_err());
}

/// The names in published measurements find their entries.
#[test]
fn measured_names_resolve() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/measured");
    let catalog = Catalog::embedded();
    // Hybrids of attention and state-space layers, sparse attention, an image or a container, edge devices:
    // what the catalogue has no shape or no figures for.
    let without = ["Nemotron", "DeepSeekV4", "Jetson", "Arc Pro"];
    let (mut seen, mut missing) = (0, std::collections::BTreeSet::new());
    for (file, model, card) in [
        ("inference_measured.csv", "model", "accelerator"),
        ("silicon_agg_disagg.csv", "model_path", "system"),
        ("training_measured.csv", "model", "accelerator"),
    ] {
        let Ok(mut reader) = csv::Reader::from_path(format!("{folder}/{file}")) else {
            println!("skipped: ../shared/data/measured/{file} is not there");
            return;
        };
        let headers = reader.headers().expect("a header").clone();
        let at = |name: &str| headers.iter().position(|header| header == name).expect("the column");
        for record in reader.records() {
            let record = record.expect("a well-formed line");
            seen += 1;
            let name = &record[at(model)];
            if catalog.model(name).is_err() {
                missing.insert(name.to_owned());
            }
            let name = &record[at(card)];
            if catalog.accelerator(name).is_err() {
                missing.insert(name.to_owned());
            }
        }
    }
    missing.retain(|name| !without.iter().any(|part| name.contains(part)));
    assert!(missing.is_empty() && seen > 15_000, "{seen} rows, {missing:?}");
}
