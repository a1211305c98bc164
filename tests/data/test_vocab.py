import json
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.data.builtin import BUILTINS, builtin_text
from rnncli.data.vocab import BOS, EOS, PAD, UNK, Vocab, join, prepared_sign, tokenize
from rnncli.errors import DataError
from rnncli.records import Json

WORDS = st.text(min_size=1, max_size=4)


def test_characters_stand_by_code_point() -> None:
    vocab = Vocab.from_counts(Counter("hello"))
    assert vocab.tokens == ("e", "h", "l", "o")
    assert vocab.encode("ohlol") == [3, 1, 2, 3, 2]


def test_words_stand_by_falling_count_then_text() -> None:
    vocab = Vocab.from_counts(Counter(["the", "cat", "the", "dog", "a", "bat", "a", "the"]), specials=(PAD, UNK))
    assert vocab.tokens == (PAD, UNK, "the", "a", "bat", "cat", "dog")


def test_limits_keep_the_commonest() -> None:
    counts = {"aa": 3, "bb": 1, "cc": 2, "dd": 2}
    assert Vocab.from_counts(counts, min_count=2).tokens == ("aa", "cc", "dd")
    assert Vocab.from_counts(counts, specials=(UNK,), max_size=3).tokens == (UNK, "aa", "cc")


def test_a_special_in_the_data_is_the_special() -> None:
    assert Vocab.from_counts(Counter(["<unk>", "<unk>", "aa"]), specials=(UNK,)).tokens == (UNK, "aa")


def test_an_unknown_token_is_named_with_its_place() -> None:
    vocab = Vocab.from_counts(Counter("hello"))
    with pytest.raises(DataError, match=r"words.txt:3: 'x' \(number 3 of 3\).*\n.*'e' 'h' 'l' 'o'"):
        vocab.encode("hex", where="words.txt:3")
    assert Vocab.from_counts(Counter("hello"), specials=(UNK,)).encode("hex") == [2, 1, 0]
    assert vocab.unknown("haxxa") == ["a", "x"]


def test_numbers_without_a_token() -> None:
    vocab = Vocab.from_counts(Counter("hello"))
    for wrong in (-1, 4):
        with pytest.raises(DataError):
            vocab.decode([0, wrong])


@given(st.lists(WORDS))
def test_decode_undoes_encode_and_json_keeps_all(tokens: list[str]) -> None:
    vocab = Vocab.from_counts(Counter(tokens), specials=(PAD, UNK, BOS, EOS))
    known = [token for token in tokens if token not in vocab.specials]
    assert vocab.decode(vocab.encode(tokens)) == tokens
    assert vocab.tokens[4:] == tuple(sorted(set(known), key=_order(known)))
    assert Vocab.from_json(json.loads(json.dumps(vocab.to_json()))) == vocab


def _order(tokens: list[str]):  # type: ignore[no-untyped-def]
    counts = Counter(tokens)
    if all(len(token) == 1 for token in counts):
        return ord
    return lambda token: (-counts[token], token)


@pytest.mark.parametrize(
    "wrong",
    [None, [], {}, {"tokens": ["a"]}, {"tokens": [1], "specials": []}, {"tokens": ["a", "a"], "specials": []},
     {"tokens": ["a"], "specials": ["b"]}, {"tokens": "ab", "specials": []}],
)  # fmt: skip
def test_json_that_is_no_vocabulary(wrong: Json) -> None:
    with pytest.raises(DataError, match=r"vocab\.json"):
        Vocab.from_json(wrong, where="vocab.json")


def test_words() -> None:
    assert tokenize("Don't stop, (ok) x_1!", "words") == ["Don", "'", "t", "stop", ",", "(", "ok", ")", "x_1", "!"]
    assert tokenize("a\n\nb\t c", "words", newlines=True) == ["a", "\n", "\n", "b", "c"]
    assert tokenize("नमस्ते दुनिया", "words") == ["नमस्ते", "दुनिया"]
    assert tokenize("a b\n", "characters") == ["a", " ", "b", "\n"]


@given(st.text())
def test_every_character_but_white_space_is_kept(text: str) -> None:
    assert "".join(tokenize(text, "words")) == re.sub(r"\s", "", text)
    assert join(tokenize(text, "characters"), "characters") == text


@given(st.text(alphabet="ab1_ .,!?()[]'\n-«é字"))
def test_joined_words_fall_into_the_same_words(text: str) -> None:
    tokens = tokenize(text, "words", newlines=True)
    assert tokenize(join(tokens, "words"), "words", newlines=True) == tokens


def test_join_reads_well() -> None:
    assert join(tokenize("(He  said : no !)", "words"), "words") == "(He said: no!)"
    for text in ("one thousand two hundred and thirty-four", "don't", "the cat's well-known whiskers, (a-b)"):
        assert join(tokenize(text, "words"), "words") == text


@pytest.mark.parametrize(
    "word",
    [
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0d9a\u0dca\u200d\u0dbb\u0dd2", "auto\u00admatic",
        "<unk>", "</s>", "<NUM>", "<USER_1>", "&apos;", "&#39;", "&#x27;",
    ],
)  # fmt: skip
def test_what_stays_whole_as_a_word(word: str) -> None:
    """Persian, Sinhala, a soft hyphen; signs of prepared corpora. Words of 0.1 fell into pieces, and still do."""
    assert tokenize(f"a {word}, ({word}) b", "words") == ["a", word, ",", "(", word, ")", "b"]
    assert len(tokenize(word, "words-0.1")) > 1
    assert tokenize(join(["a", word, "(", word, "."], "words"), "words") == ["a", word, "(", word, "."]


def test_what_only_looks_like_a_sign() -> None:
    assert tokenize("a<b>c & d; <T> <br/> R&D;", "words") == [*"a<b>c&d;<T><", "br", *"/>R&D;"]
    assert tokenize("\u200da <unk", "words") == ["\u200d", "a", "<", "unk"]


@pytest.mark.parametrize("name", [name for name in BUILTINS if name not in ("digits", "moving-shapes")])
def test_the_words_of_shipped_texts_are_those_of_0_1(name: str) -> None:
    text = builtin_text(name)
    assert tokenize(text, "words", newlines=True) == tokenize(text, "words-0.1", newlines=True)
    assert not prepared_sign(text)


def test_whitespace() -> None:
    text = "mr. <unk> is n't N\nthe @-@ don &apos;t\n"
    tokens = tokenize(text, "whitespace", newlines=True)
    assert tokens == ["mr.", "<unk>", "is", "n't", "N", "\n", "the", "@-@", "don", "&apos;t", "\n"]
    assert join(tokens, "whitespace") == text
    assert tokenize(text, "whitespace") == text.split()


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("no it was n't black monday <unk> \n but while the new york N", "<unk>"),
        ("the song , released in 1 @,@ 990 by", "@,@"),
        ("it isn &apos;t so .", "&apos;t"),
        ("<s> a b </s>", "<s>"),
        ("Write <unk> for what is rare, and so on, please!", ""),
        ("Plain text. Nothing in it.", ""),
        ("a<unk>b", ""),
    ],
)
def test_prepared_corpora(text: str, sign: str) -> None:
    assert prepared_sign(text) == sign
