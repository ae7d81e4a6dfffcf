//! `fleetsim estimate query`.

use clap::ValueEnum;

use super::{chosen, optional, plain};
use crate::cli::Failure;
use crate::estimate::choice::{API_PRICE, SEARCHES};
use crate::estimate::{self, Query, Unit, Worksheet};

/// Can a query pay for itself? Search and writing tools on a hosted or an own model.
#[derive(Debug, clap::Args)]
#[command(allow_negative_numbers = true)]
pub struct Args {
    /// How the model is used.
    #[arg(long, value_enum, default_value_t = Design::ChatEquivalent)]
    design: Design,
    /// How often the user's prompt is paid for.
    #[arg(long, value_enum, default_value_t = Counted::Once)]
    prompt_counted: Counted,
    /// Words of the prompt.
    #[arg(long, value_name = "N")]
    prompt_words: Option<String>,
    /// Words of an answer.
    #[arg(long, value_name = "N")]
    answer_words: Option<String>,
    /// Answers made for each prompt (5), or for each result (1).
    #[arg(long, value_name = "N")]
    samples: Option<String>,
    /// Results that are retrieved, in the two-stage design.
    #[arg(long, value_name = "N")]
    results: Option<String>,
    /// Words of a result.
    #[arg(long, value_name = "N")]
    result_words: Option<String>,
    /// Price of 1,000 tokens: a number, or davinci-2023-02, openai-2023-04.
    #[arg(long, value_name = "USD")]
    api_usd_per_1k: Option<String>,
    /// Share of the queries that a cache answers.
    #[arg(long, value_name = "SHARE")]
    cache_hit: Option<String>,
    /// Share of the hosted price that is its seller's margin.
    #[arg(long, value_name = "SHARE")]
    margin: Option<String>,
    /// How many times cheaper an own, optimised model is.
    #[arg(long, value_name = "N")]
    reduction: Option<String>,
    /// Queries of a year: a number, or sunyan-2023, sunyan-2023-rounded, speka-2023.
    #[arg(long, value_name = "N")]
    queries: Option<String>,
    /// Revenue of a year in US dollars.
    #[arg(long, value_name = "USD")]
    revenue: Option<String>,
    /// What the product's users pay for --product-words, for its margin.
    #[arg(long, value_name = "USD", requires = "product_words")]
    product_usd: Option<String>,
    /// Words that --product-usd buys.
    #[arg(long, value_name = "N", requires = "product_usd")]
    product_words: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Design {
    /// A prompt, some samples, the best is shown.
    ChatEquivalent,
    /// Retrieved results are summarised one by one.
    TwoStage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Counted {
    /// Once for all samples or results.
    Once,
    /// With each of them.
    Each,
}

impl Args {
    pub(super) fn worksheet(&self) -> Result<Worksheet, Failure> {
        let (design, samples, source) = match self.design {
            Design::ChatEquivalent => (estimate::Design::ChatEquivalent, 5.0, "Sunyan 2023"),
            Design::TwoStage => (estimate::Design::TwoStage, 1.0, "one, with which Sunyan 2023 comes out"),
        };
        let prompt_counted = match self.prompt_counted {
            Counted::Once => estimate::PromptCounted::Once,
            Counted::Each => estimate::PromptCounted::Each,
        };
        let product_usd = optional("product-usd", self.product_usd.as_deref(), Unit::Usd)?;
        let product_words = optional("product-words", self.product_words.as_deref(), Unit::Words)?;
        let (words, share) = (Unit::Words, Unit::Share);
        let api = self.api_usd_per_1k.as_deref();
        let query = Query {
            design,
            prompt_counted,
            prompt_words: plain("prompt-words", self.prompt_words.as_deref(), words, 50.0, "Sunyan 2023")?,
            answer_words: plain("answer-words", self.answer_words.as_deref(), words, 400.0, "Sunyan 2023")?,
            samples: plain("samples", self.samples.as_deref(), Unit::Number, samples, source)?,
            results: plain("results", self.results.as_deref(), Unit::Number, 10.0, "Sunyan 2023")?,
            result_words: plain("result-words", self.result_words.as_deref(), words, 1000.0, "Sunyan 2023")?,
            api_price: chosen("api-usd-per-1k", api, API_PRICE, Unit::UsdPerThousandTokens)?,
            cache_hit: plain("cache-hit", self.cache_hit.as_deref(), share, 0.3, "Sunyan 2023")?,
            margin: plain("margin", self.margin.as_deref(), share, 0.75, "Sunyan 2023, an assumption there")?,
            reduction: plain(
                "reduction",
                self.reduction.as_deref(),
                Unit::Number,
                8.0,
                "4 by quantization, distillation and size, 2 in house: Sunyan 2023",
            )?,
            queries: chosen("queries", self.queries.as_deref(), SEARCHES, Unit::Queries)?,
            revenue: plain("revenue", self.revenue.as_deref(), Unit::UsdPerYear, 100e9, "Sunyan 2023")?,
            product: product_usd.zip(product_words),
        };
        Ok(query.worksheet()?)
    }
}
