use super::*;

#[test]
fn try_it() {
    let text = std::fs::read_to_string("/tmp/bad.toml").unwrap();
    match load_text(
        &text,
        Path::new("scenarios/bad.toml"),
        &[
            "pools.bsae.nodes=4".to_owned(),
            "streams.chat.rat=4/s".to_owned(),
            "seed.x=3".to_owned(),
            "streams.chat.slo.ttft=3".to_owned(),
        ],
        None,
    ) {
        Ok(_) => println!("fine"),
        Err(why) => println!("{why}"),
    }
    for doc in option_reference() {
        println!("{:<50} {} = {:?}", doc.path, doc.kind, doc.default);
    }
}
