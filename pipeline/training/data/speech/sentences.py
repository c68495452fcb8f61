"""Random sentences, made-up words and single words for the engines of `speech` to say.

The words are chosen for what lips show: p b m, f v, th, w, rounded vowels and zh; all sounds come up.
"""

from __future__ import annotations

import numpy as np

_ADJECTIVES = [
    "big",
    "brave",
    "warm",
    "purple",
    "beautiful",
    "awful",
    "pale",
    "thin",
    "thick",
    "smooth",
    "rough",
    "young",
    "old",
    "brown",
    "fuzzy",
    "wooden",
    "foggy",
    "modern",
    "empty",
    "bitter",
    "yellow",
    "lovely",
    "white",
    "royal",
    "noisy",
    "joyful",
    "measured",
    "casual",
    "visual",
    "gentle",
    "deep",
    "cheap",
    "mighty",
    "vivid",
]
_NOUNS = [
    "boy",
    "baby",
    "mother",
    "farmer",
    "bishop",
    "puppy",
    "village",
    "piano",
    "window",
    "river",
    "coffee",
    "shovel",
    "father",
    "brother",
    "finger",
    "mirror",
    "weather",
    "treasure",
    "pleasure",
    "garage",
    "coin",
    "voice",
    "oyster",
    "king",
    "song",
    "bubble",
    "pepper",
    "map",
    "lamp",
    "thumb",
    "tooth",
    "mouth",
    "wolf",
    "watch",
    "church",
    "judge",
    "bridge",
    "yacht",
    "onion",
    "moon",
    "spoon",
    "book",
    "cook",
    "house",
    "mouse",
    "cow",
    "town",
    "shoe",
    "juice",
    "phone",
    "boat",
    "road",
    "van",
    "leaf",
    "wave",
    "five",
    "photo",
    "summer",
    "camera",
    "bamboo",
    "paper",
    "apple",
    "table",
    "museum",
    "womb",
    "poem",
    "umbrella",
    "ship",
    "sheep",
    "vision",
]
_VERBS = [
    "buys",
    "makes",
    "paints",
    "moves",
    "believes",
    "finds",
    "loves",
    "watches",
    "brings",
    "throws",
    "follows",
    "promises",
    "remembers",
    "hopes",
    "boils",
    "enjoys",
    "measures",
    "pushes",
    "pulls",
    "washes",
    "teaches",
    "jumps",
    "over",
    "looks",
    "at",
    "walks",
    "with",
    "thinks",
    "about",
    "smiles",
    "at",
    "waits",
    "for",
]
_PREPOSITIONS = [
    "above",
    "below",
    "behind",
    "before",
    "with",
    "without",
    "through",
    "from",
    "of",
    "over",
    "under",
    "beside",
    "among",
    "past",
    "by",
]
_ADVERBS = [
    "now",
    "again",
    "please",
    "soon",
    "maybe",
    "finally",
    "quietly",
    "together",
    "tomorrow",
    "of",
    "course",
    "by",
    "the",
    "way",
    "my",
    "friend",
]
_NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "hundred",
]


def sentence(rng: np.random.Generator) -> str:
    """One random English sentence, digit string or spelled word."""
    adj, noun, verb, prep, adv = (
        lambda words=words: str(rng.choice(words))
        for words in (_ADJECTIVES, _NOUNS, _VERBS, _PREPOSITIONS, _ADVERBS)
    )
    kind = int(rng.integers(9))
    if kind == 0:
        return f"The {adj()} {noun()} {verb()} the {noun()} {prep()} my {noun()}."
    if kind == 1:
        return f"{adv()}, a {noun()} {verb()} every {adj()} {noun()}, and we {verb()} it {adv()}."
    if kind == 2:
        first = f"Why would the {noun()} be so {adj()} {prep()} the {noun()}?"
        return f"{first} I hope {noun()} and {noun()} may help."
    if kind == 3:
        return f"Both {noun()} and {noun()} were {adj()}, but this {noun()} was {adj()}."
    if kind == 4:
        return f"I believe that you have {rng.choice(_NUMBERS)} {adj()} {noun()} {prep()} the {noun()} {adv()}."
    if kind == 5:
        return f"Put the {noun()} {prep()} the {adj()} {noun()}. Please give them a {noun()}."
    if kind == 6:
        return f"Yes. {adj()} {noun()}, {adj()} {noun()}, {adv()}. My {noun()} {verb()} you."
    if kind == 7:
        return ", ".join(" ".join(rng.choice(_NUMBERS, rng.integers(2, 6))) for _ in range(2)) + "."
    return (
        " ".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), rng.integers(4, 9)))
        + f", {noun()}."
    )


def pseudo_words(rng: np.random.Generator) -> str:
    """Made-up words of consonant-vowel-(consonant) syllables, readable in any Latin-script language."""
    onset, vowel, coda = (
        list("bbppmmfvtdnszkglrwh") + ["ch", "sh", "br", "pl"],
        list("aaeeiioou"),
        list("mnsltrpk"),
    )
    words = []
    for _ in range(int(rng.integers(4, 9))):
        parts = [f"{rng.choice(onset)}{rng.choice(vowel)}" for _ in range(int(rng.integers(1, 4)))]
        words.append("".join(parts) + (str(rng.choice(coda)) if rng.random() < 0.4 else ""))
    return " ".join(words) + "."


def single_words(rng: np.random.Generator) -> str:
    """Words with a pause after each, or the same two or three syllables again and again.

    Without them the network hears "mama, papa, baba" and "ooh" badly: a clip's mean spectrum, which its input
    takes off, is then that of the few sounds themselves.
    """
    if rng.random() < 0.5:
        words = rng.choice([*_NOUNS, *_NUMBERS, *_ADJECTIVES], int(rng.integers(2, 6)))
        return ". ".join(str(word) for word in words) + "."
    onset = list("bbbpppmmmfvtdnszklwwy") + ["ch", "sh"]
    vowel = ["ah", "ah", "oo", "oo", "ee", "ee", "oh", "ay", "aw", "er"]
    sounds = [f"{rng.choice(onset)}{rng.choice(vowel)}" for _ in range(int(rng.integers(1, 4)))]
    words = [sound * int(rng.integers(1, 3)) for sound in sounds] * int(rng.integers(2, 5))
    return (", " if rng.random() < 0.5 else " ").join(words) + "."
