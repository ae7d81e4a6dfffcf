//! Units of the closed forms.

use serde::{Serialize, Serializer};

/// The unit of a number of a worksheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named by its own word")]
pub enum Unit {
    Bits,
    Bytes,
    BytesPerParameter,
    BytesPerSecond,
    BytesPerToken,
    Cards,
    CardHours,
    Days,
    Flop,
    FlopPerSecond,
    Hours,
    KilowattHours,
    Nodes,
    Number,
    Nats,
    Parameters,
    Queries,
    Seconds,
    Share,
    Tokens,
    TokensPerSecond,
    Usd,
    UsdPerCardHour,
    UsdPerKwh,
    UsdPerMonth,
    UsdPerThousandTokens,
    UsdPerThousandWords,
    UsdPerYear,
    Watts,
    Words,
    Years,
}

impl Unit {
    /// As it stands behind a number.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bits => "bit",
            Self::Bytes => "B",
            Self::BytesPerParameter => "B/parameter",
            Self::BytesPerSecond => "B/s",
            Self::BytesPerToken => "B/token",
            Self::Cards => "cards",
            Self::CardHours => "card-h",
            Self::Days => "d",
            Self::Flop => "FLOP",
            Self::FlopPerSecond => "FLOP/s",
            Self::Hours => "h",
            Self::KilowattHours => "kWh",
            Self::Nodes => "nodes",
            Self::Number => "",
            Self::Nats => "nat/token",
            Self::Parameters => "parameters",
            Self::Queries => "queries",
            Self::Seconds => "s",
            Self::Share => "share",
            Self::Tokens => "tokens",
            Self::TokensPerSecond => "tokens/s",
            Self::Usd => "USD",
            Self::UsdPerCardHour => "USD/card-h",
            Self::UsdPerKwh => "USD/kWh",
            Self::UsdPerMonth => "USD/month",
            Self::UsdPerThousandTokens => "USD/1k tokens",
            Self::UsdPerThousandWords => "USD/1k words",
            Self::UsdPerYear => "USD/year",
            Self::Watts => "W",
            Self::Words => "words",
            Self::Years => "years",
        }
    }
}

impl Serialize for Unit {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}
