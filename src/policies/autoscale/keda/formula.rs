//! The formula of `scalingModifiers`: arithmetic, comparisons, a choice and a few functions over triggers' values.
//!
//! KEDA evaluates it with the library expr-lang; of that language numbers, names, `+ - * / % **`,
//! `< <= > >= == != && || !`, `a ? b : c`, lists, and `min max abs ceil floor round sum mean median len` are read;
//! the rest is refused by name.

use std::collections::BTreeMap;

use crate::policies::spec::quantity;

/// A formula that can be evaluated.
#[derive(Debug, Clone, PartialEq)]
pub enum Formula {
    /// A number.
    Number(f64),
    /// A trigger's value.
    Name(String),
    /// Two operands.
    Binary(&'static str, Box<(Self, Self)>),
    /// One operand: `-` or `!`.
    Unary(char, Box<Self>),
    /// A choice: condition, then, else.
    Choice(Box<(Self, Self, Self)>),
    /// A function of a list.
    Call(String, Vec<Self>),
}

/// Operators by how strongly they bind, the weakest first.
const LEVELS: [&[&str]; 6] =
    [&["||", "or"], &["&&", "and"], &["==", "!="], &["<=", ">=", "<", ">"], &["+", "-"], &["*", "/", "%"]];

/// Functions that are read.
const FUNCTIONS: [&str; 10] = ["min", "max", "abs", "ceil", "floor", "round", "sum", "mean", "median", "len"];

impl Formula {
    /// Reads a formula.
    ///
    /// # Errors
    /// What cannot be read, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: text };
        let formula = parser.choice()?;
        match parser.peek() {
            "" => Ok(formula),
            rest => Err(format!("unexpected {rest:?}")),
        }
    }

    /// The names that it uses.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Number(_) => Vec::new(),
            Self::Name(name) => vec![name],
            Self::Unary(_, inner) => inner.names(),
            Self::Binary(_, both) => [both.0.names(), both.1.names()].concat(),
            Self::Choice(three) => [three.0.names(), three.1.names(), three.2.names()].concat(),
            Self::Call(_, items) => items.iter().flat_map(Self::names).collect(),
        }
    }

    /// Its value; truth is 1, its opposite 0. `None` when a name has no value.
    pub fn value(&self, values: &BTreeMap<String, f64>) -> Option<f64> {
        let truth = |is: bool| f64::from(u8::from(is));
        Some(match self {
            Self::Number(number) => *number,
            Self::Name(name) => *values.get(name)?,
            Self::Unary('!', inner) => truth(inner.value(values)? == 0.0),
            Self::Unary(_, inner) => -inner.value(values)?,
            Self::Choice(three) => {
                let chosen = if three.0.value(values)? == 0.0 { &three.2 } else { &three.1 };
                chosen.value(values)?
            }
            Self::Binary(operator, both) => {
                let (a, b) = (both.0.value(values)?, both.1.value(values)?);
                match *operator {
                    "+" => a + b,
                    "-" => a - b,
                    "*" => a * b,
                    "/" => a / b,
                    "%" => a % b,
                    "**" => libm::pow(a, b),
                    "<" => truth(a < b),
                    "<=" => truth(a <= b),
                    ">" => truth(a > b),
                    ">=" => truth(a >= b),
                    "==" => truth(a == b),
                    "!=" => truth(a != b),
                    "&&" | "and" => truth(a != 0.0 && b != 0.0),
                    _ => truth(a != 0.0 || b != 0.0),
                }
            }
            Self::Call(name, items) => {
                let mut list = items.iter().map(|item| item.value(values)).collect::<Option<Vec<f64>>>()?;
                let count = list.len() as f64;
                match name.as_str() {
                    "min" => list.into_iter().fold(f64::INFINITY, f64::min),
                    "max" => list.into_iter().fold(f64::NEG_INFINITY, f64::max),
                    "abs" => list.first()?.abs(),
                    "ceil" => list.first()?.ceil(),
                    "floor" => list.first()?.floor(),
                    "round" => list.first()?.round(),
                    "sum" => list.iter().sum(),
                    "mean" => list.iter().sum::<f64>() / count,
                    "median" => {
                        list.sort_by(f64::total_cmp);
                        let middle = list.len() / 2;
                        if list.len() % 2 == 1 {
                            list[middle]
                        } else {
                            (list.get(middle.checked_sub(1)?)? + list[middle]) / 2.0
                        }
                    }
                    _ => count,
                }
            }
        })
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn peek(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        self.rest
    }

    /// Takes a token if it comes next; a word only as a whole.
    fn take(&mut self, token: &str) -> bool {
        let Some(after) = self.peek().strip_prefix(token) else { return false };
        let word = token.starts_with(char::is_alphabetic);
        if word && after.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
            return false;
        }
        self.rest = after;
        true
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.take(token) { Ok(()) } else { Err(format!("{token:?} is missing before {:?}", self.peek())) }
    }

    fn choice(&mut self) -> Result<Formula, String> {
        let condition = self.level(0)?;
        if !self.take("?") {
            return Ok(condition);
        }
        let then = self.choice()?;
        self.expect(":")?;
        Ok(Formula::Choice(Box::new((condition, then, self.choice()?))))
    }

    fn level(&mut self, level: usize) -> Result<Formula, String> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.level(level + 1)?;
        'more: loop {
            for operator in *operators {
                // `**` is no product.
                if *operator == "*" && self.peek().starts_with("**") {
                    continue;
                }
                if self.take(operator) {
                    left = Formula::Binary(operator, Box::new((left, self.level(level + 1)?)));
                    continue 'more;
                }
            }
            return Ok(left);
        }
    }

    fn unary(&mut self) -> Result<Formula, String> {
        if self.take("-") {
            return Ok(Formula::Unary('-', Box::new(self.unary()?)));
        }
        if self.take("!") || self.take("not") {
            return Ok(Formula::Unary('!', Box::new(self.unary()?)));
        }
        let base = self.primary()?;
        if self.take("**") {
            return Ok(Formula::Binary("**", Box::new((base, self.unary()?))));
        }
        Ok(base)
    }

    fn primary(&mut self) -> Result<Formula, String> {
        if self.take("(") {
            let inner = self.choice()?;
            self.expect(")")?;
            return Ok(inner);
        }
        let text = self.peek();
        let word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let length = text.find(|c| !word(c)).unwrap_or(text.len());
        let (token, after) = text.split_at(length);
        if token.is_empty() {
            return Err(format!("a number or a trigger's name is missing before {text:?}"));
        }
        self.rest = after;
        if token.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            let number = quantity(token).ok_or_else(|| format!("{token:?} is no number"))?;
            return Ok(Formula::Number(number));
        }
        if !self.take("(") {
            return Ok(Formula::Name(token.to_owned()));
        }
        if !FUNCTIONS.contains(&token) {
            return Err(format!("the function {token:?} is not read; there are {}", FUNCTIONS.join(", ")));
        }
        let mut items = Vec::new();
        while !self.take(")") {
            let list = self.take("[");
            items.push(self.choice()?);
            while self.take(",") {
                items.push(self.choice()?);
            }
            if list {
                self.expect("]")?;
                self.take(",");
            }
        }
        if items.is_empty() {
            return Err(format!("{token} of nothing"));
        }
        Ok(Formula::Call(token.to_owned(), items))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas() {
        let values = [("one".to_owned(), 3.0), ("two".to_owned(), 5.0)].into();
        for (text, value) in [
            ("(one + two)/2", 4.0),
            ("one + two * 2 - 1", 12.0),
            ("one > 2 ? one + two : 1", 8.0),
            ("one > 3 && two > 1 ? 10 : two < 1 or one == 3 ? 7 : 9", 7.0),
            ("2 ** 3 ** 2", 512.0),
            ("max(one, two) - min([one, two])", 2.0),
            ("mean([one, two, 10])", 6.0),
            ("median([one, two, 10, 1])", 4.0),
            ("-one + !0", -2.0),
            ("ceil(one / 2) + sum([one, two]) % 5", 5.0),
        ] {
            let formula = Formula::parse(text).unwrap();
            assert_eq!(formula.value(&values), Some(value), "{text}");
        }
        assert_eq!(Formula::parse("three * 2").unwrap().value(&values), None);
        assert_eq!(Formula::parse("one + a_b").unwrap().names(), ["one", "a_b"]);
        for text in ["", "one +", "(one", "one two", "count([one], {# > 1})", "1x2"] {
            assert!(Formula::parse(text).is_err(), "{text}");
        }
    }
}
