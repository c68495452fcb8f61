"""Random sentences, made-up words and single words for the engines of `speech` to say.

The words are chosen for what lips show: p b m, f v, th, w, rounded vowels and zh. All sounds
occur.
"""

from __future__ import annotations

import numpy as np


def word_list(text: str) -> list[str]:
    """Split a text on blanks."""
    return text.split()


_ADJECTIVES = word_list("""
    big brave warm purple beautiful awful pale thin thick smooth rough young old brown fuzzy
    wooden foggy modern empty bitter yellow lovely white royal noisy joyful measured casual
    visual gentle deep cheap mighty vivid
""")
_NOUNS = word_list("""
    boy baby mother farmer bishop puppy village piano window river coffee shovel father brother
    finger mirror weather treasure pleasure garage coin voice oyster king song bubble pepper map
    lamp thumb tooth mouth wolf watch church judge bridge yacht onion moon spoon book cook house
    mouse cow town shoe juice phone boat road van leaf wave five photo summer camera bamboo
    paper apple table museum womb poem umbrella ship sheep vision
""")
_VERBS = word_list("""
    buys makes paints moves believes finds loves watches brings throws follows promises
    remembers hopes boils enjoys measures pushes pulls washes teaches jumps over looks at walks
    with thinks about smiles at waits for
""")
_PREPOSITIONS = word_list("""
    above below behind before with without through from of over under beside among past by
""")
_ADVERBS = word_list("""
    now again please soon maybe finally quietly together tomorrow of course by the way my friend
""")
_NUMBERS = word_list("""
    zero one two three four five six seven eight nine ten eleven twelve thirteen hundred
""")


_LETTERS = list("abcdefghijklmnopqrstuvwxyz")
_KINDS = 9  # of `sentence`

# a sound that stands twice comes twice as often
_ONSETS = [*"bbppmmfvtdnszkglrwh", "ch", "sh", "br", "pl"]
_VOWELS = list("aaeeiioou")
_CODAS = list("mnsltrpk")
_REPEATED_ONSETS = [*"bbbpppmmmfvtdnszklwwy", "ch", "sh"]
_REPEATED_VOWELS = word_list("""
    ah ah oo oo ee ee oh ay aw er
""")


class _Words:
    """Random words of one generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def adjective(self) -> str:
        return str(self.rng.choice(_ADJECTIVES))

    def noun(self) -> str:
        return str(self.rng.choice(_NOUNS))

    def verb(self) -> str:
        return str(self.rng.choice(_VERBS))

    def preposition(self) -> str:
        return str(self.rng.choice(_PREPOSITIONS))

    def adverb(self) -> str:
        return str(self.rng.choice(_ADVERBS))

    def number(self) -> str:
        return str(self.rng.choice(_NUMBERS))

    def numbers(self) -> str:
        count = self.rng.integers(2, 6)
        return " ".join(self.rng.choice(_NUMBERS, count))

    def letters(self) -> str:
        count = self.rng.integers(4, 9)
        return " ".join(self.rng.choice(_LETTERS, count))


def sentence(rng: np.random.Generator) -> str:
    """Make one random English sentence, digit string or spelled word."""
    words = _Words(rng)
    adj = words.adjective
    noun = words.noun
    verb = words.verb
    prep = words.preposition
    adv = words.adverb
    kind = int(rng.integers(_KINDS))
    if kind == 0:
        return f"The {adj()} {noun()} {verb()} the {noun()} {prep()} my {noun()}."
    if kind == 1:
        start = f"{adv()}, a {noun()} {verb()} every {adj()} {noun()}"
        return f"{start}, and we {verb()} it {adv()}."
    if kind == 2:
        question = f"Why would the {noun()} be so {adj()} {prep()} the {noun()}?"
        return f"{question} I hope {noun()} and {noun()} may help."
    if kind == 3:
        return f"Both {noun()} and {noun()} were {adj()}, but this {noun()} was {adj()}."
    if kind == 4:
        start = f"I believe that you have {words.number()} {adj()} {noun()}"
        return f"{start} {prep()} the {noun()} {adv()}."
    if kind == 5:
        return f"Put the {noun()} {prep()} the {adj()} {noun()}. Please give them a {noun()}."
    if kind == 6:
        return f"Yes. {adj()} {noun()}, {adj()} {noun()}, {adv()}. My {noun()} {verb()} you."
    if kind == 7:
        return f"{words.numbers()}, {words.numbers()}."
    return f"{words.letters()}, {noun()}."


def pseudo_words(rng: np.random.Generator) -> str:
    """Make up words of consonant-vowel-(consonant) syllables, readable in any Latin script."""
    words = []
    for _ in range(int(rng.integers(4, 9))):
        syllables = _draw_syllables(rng, _ONSETS, _VOWELS)
        coda = str(rng.choice(_CODAS)) if rng.random() < 0.4 else ""
        words.append("".join(syllables) + coda)
    return " ".join(words) + "."


def single_words(rng: np.random.Generator) -> str:
    """Make words with a pause after each, or repeat the same two or three syllables.

    Without them the network predicts "mama, papa, baba" and "ooh" badly: a clip's mean spectrum,
    which its input takes off, is then that of the few sounds themselves.
    """
    if rng.random() < 0.5:
        all_words = [*_NOUNS, *_NUMBERS, *_ADJECTIVES]
        words = rng.choice(all_words, int(rng.integers(2, 6)))
        return ". ".join(str(word) for word in words) + "."
    syllables = _draw_syllables(rng, _REPEATED_ONSETS, _REPEATED_VOWELS)
    words = [syllable * int(rng.integers(1, 3)) for syllable in syllables]
    words = words * int(rng.integers(2, 5))
    separator = ", " if rng.random() < 0.5 else " "
    return separator.join(words) + "."


def _draw_syllables(rng: np.random.Generator, onsets: list[str], vowels: list[str]) -> list[str]:
    """Draw one to three syllables."""
    syllables = []
    for _ in range(int(rng.integers(1, 4))):
        onset = rng.choice(onsets)
        syllables.append(f"{onset}{rng.choice(vowels)}")
    return syllables
