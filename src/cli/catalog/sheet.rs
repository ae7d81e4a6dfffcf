//! An entry of any kind as words and figures, which is all that printing needs.

use serde_json::{Map, Value, json};

use crate::catalog::{Accelerator, FigureRow, Friction, HostedModel, Model, Offer, Provider};

/// An entry: its names, its words in order (only those that say something), its figures.
pub struct Sheet {
    pub name: String,
    pub aliases: Vec<String>,
    pub words: Vec<(&'static str, String)>,
    pub figures: Vec<FigureRow>,
}

impl Sheet {
    fn new(name: &str, aliases: &[String], words: &[(&'static str, &str)], figures: Vec<FigureRow>) -> Self {
        let words = words
            .iter()
            .filter(|(_, word)| !word.is_empty())
            .map(|(key, word)| (*key, (*word).to_owned()))
            .collect();
        Self { name: name.to_owned(), aliases: aliases.to_vec(), words, figures }
    }

    pub fn accelerator(card: &Accelerator) -> Self {
        let year = card.year.map(|year| year.to_string()).unwrap_or_default();
        let words = [
            ("vendor", card.vendor.as_str()),
            ("year", &year),
            ("link", &card.interconnect.kind),
            ("link_class", card.interconnect.class.name()),
            ("server", &card.server),
            ("note", &card.note),
        ];
        Self::new(&card.name, &card.aliases, &words, card.figures())
    }

    pub fn model(model: &Model) -> Self {
        let words = [("maker", model.maker.as_str()), ("note", &model.note)];
        Self::new(&model.name, &model.aliases, &words, model.figures())
    }

    pub fn offer(offer: &Offer) -> Self {
        let words = [
            ("provider", offer.provider.as_str()),
            ("region", &offer.region),
            ("accelerator", &offer.accelerator),
            ("note", &offer.note),
        ];
        Self::new(&offer.name, &offer.aliases, &words, offer.figures())
    }

    pub fn provider(provider: &Provider) -> Self {
        let words = [("title", provider.title.as_str()), ("note", &provider.note)];
        Self::new(&provider.name, &provider.aliases, &words, provider.figures())
    }

    pub fn hosted(hosted: &HostedModel) -> Self {
        let words =
            [("provider", hosted.provider.as_str()), ("model", &hosted.model), ("note", &hosted.note)];
        Self::new(&hosted.name, &hosted.aliases, &words, hosted.figures())
    }

    pub fn friction(friction: &Friction) -> Self {
        let words = [("applies_to", friction.applies_to.as_str()), ("note", &friction.note)];
        Self::new(&friction.name, &friction.aliases, &words, friction.figures())
    }

    /// The word of this key, where there is one.
    pub fn word(&self, key: &str) -> Option<&str> {
        self.words.iter().find(|(word, _)| *word == key).map(|(_, text)| text.as_str())
    }

    /// `{name, aliases, WORD.., figures{KEY: {value, unit, source, date, doubt} or null}}`.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("name".to_owned(), json!(self.name));
        object.insert("aliases".to_owned(), json!(self.aliases));
        for (key, word) in &self.words {
            object.insert((*key).to_owned(), json!(word));
        }
        let figures: Map<String, Value> =
            self.figures.iter().map(|row| (row.figure.to_owned(), figure_json(row))).collect();
        object.insert("figures".to_owned(), Value::Object(figures));
        Value::Object(object)
    }
}

fn figure_json(row: &FigureRow) -> Value {
    let Some(text) = &row.value else { return Value::Null };
    let value = match (text.parse::<u64>(), text.parse::<f64>(), text.as_str()) {
        (Ok(count), _, _) => json!(count),
        (_, Ok(number), _) => json!(number),
        (_, _, "yes") => json!(true),
        (_, _, "no") => json!(false),
        _ => json!(text),
    };
    json!({
        "value": value,
        "unit": row.unit,
        "source": row.source,
        "date": row.date,
        "doubt": row.doubt,
    })
}
