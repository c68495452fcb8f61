"""What the shipped examples say, and where each of them comes from."""

from __future__ import annotations

from pipeline.training.data.speech.authored import Line, Piece

SPEECH = {
    "accents_no": Line("rms", 100, (
        Piece("No!", 0.95, 1.35, 1.25, 0.55), Piece("Not today,", 0.45, 1.05, 0.95, 0.40),
        Piece("not tomorrow,", 0.45, 1.05, 0.95, 0.40), Piece("never!", 0.98, 1.45, 1.30),
    )),
    "accents_win": Line("slt", 175, (
        Piece("And then,", 0.40, 1.15, 0.95, 0.60), Piece("boom!", 0.98, 1.50, 1.35, 0.70),
        Piece("we won", 0.50, 1.10, 1.0, 0.25), Piece("everything!", 0.95, 1.30, 1.25),
    )),
    "welcome": Line("slt", 170, (
        Piece("Hello and welcome.", 0.7, 1.05, 1.05, 0.30),
        Piece("My name is Emma, and I will show you around the museum.", 0.6, 1.0, 1.0),
    )),
    "weather": Line("awb", 120, (
        Piece("Tomorrow will be mostly sunny,", 0.65, 1.05, 1.0, 0.20),
        Piece("with a few clouds above the mountains.", 0.6, 1.05, 0.97),
    )),
    "question": Line("kal16", 105, (
        Piece("Have you ever wondered", 0.6, 1.1, 1.05, 0.25),
        Piece("why people move their hands", 0.65, 1.1, 1.0, 0.1),
        Piece("when they speak?", 0.75, 1.2, 1.15),
    )),
    "lecture": Line("rms", 104, (
        Piece("Good morning, everybody.", 0.70, 1.05, 1.1, 0.45),
        Piece("Please look at the map on page five.", 0.60, 1.0, 1.0, 0.45),
        Piece("The big river, here,", 0.80, 1.10, 1.1, 0.30),
        Piece("flows from the mountains to the sea,", 0.55, 1.0, 0.97, 0.35),
        Piece("and every village beside it", 0.55, 1.0, 1.0, 0.20), Piece("depends", 0.92, 1.25, 1.2, 0.15),
        Piece("on the water.", 0.55, 1.05, 0.95),
    )),
}  # fmt: skip

DRIVER_LINES = {
    "beats": Line("slt", 178, (
        Piece("First,", 0.85, 1.2, 1.15, 0.25), Piece("open the window.", 0.6, 1.0, 1.0, 0.30),
        Piece("Second,", 0.85, 1.2, 1.15, 0.25),
        Piece("move the table to the middle of the room.", 0.6, 1.0, 1.0, 0.35),
        Piece("Then wait for me.", 0.7, 1.1, 1.05),
    )),
    "sway": Line("slt", 165, (
        Piece("When I was a child,", 0.55, 1.1, 1.0, 0.35),
        Piece("we walked along the beach every summer,", 0.6, 1.0, 1.0, 0.35),
        Piece("and my father told us", 0.55, 1.05, 1.0, 0.20), Piece("wonderful stories.", 0.8, 1.25, 1.15),
    )),
    "steps": Line("rms", 108, (
        Piece("Ladies and gentlemen,", 0.8, 1.0, 1.1, 0.40),
        Piece("step this way.", 0.65, 1.0, 1.0, 0.40),
        Piece("Above you,", 0.75, 1.1, 1.1, 0.25), Piece("the golden roof.", 0.65, 1.0, 1.0, 0.40),
        Piece("Now follow me.", 0.7, 1.1, 1.05),
    )),
    "seated": Line("awb", 118, (
        Piece("Yes, of course.", 0.7, 1.1, 1.1, 0.45),
        Piece("I remember that evening very well.", 0.6, 1.05, 1.0, 0.40),
        Piece("You would not believe it!", 0.8, 1.15, 1.15),
    )),
}  # fmt: skip

LICENSES = """# Where the examples come from

Everything here was made for this project by `python -m pipeline.training.data.examples`; nothing was
recorded, photographed or downloaded. The people do not exist.

| files | what | source | licence |
|---|---|---|---|
| `reference/half_jacket.png`, `half_beard.png`, `half_glasses.png`, `three_quarter.png`, `full_skirt.png`, \
`full_trousers.png` | drawn presenters, 512x768 | `pipeline/training/data/presenters/` of this \
repository, seeds in `pipeline/training/data/examples.py` | Apache-2.0, as this repository |
| `driving/beats.mp4`, `sway.mp4`, `steps.mp4`, `seated.mp4` and the `.npz` beside each | drawn presenters \
in motion, 384x576, 25 fps; exact key points of the drawing, not detected | picture, motion and key points: \
as above; sound: flite voices slt, slt, rms, awb | picture and key points Apache-2.0; sound as below |
| `speech/accents_no.wav`, `lecture.wav` | synthetic speech, voice `rms` | flite 2.2 | as below |
| `speech/accents_win.wav`, `welcome.wav` | synthetic speech, voice `slt` | flite 2.2 | as below |
| `speech/weather.wav` | synthetic speech, voice `awb` | flite 2.2 | as below |
| `speech/question.wav` | synthetic speech, voice `kal16` | flite 2.2 | as below |

The sentences were written for this project.

## The voices

The speech was made with flite 2.2 (Debian package `flite` 2.2-5) and the voices built into it. The package's
`/usr/share/doc/flite/copyright` puts all files of flite that it does not list one by one, the voices among
them, under this licence:

> Authors: Language Technologies Institute, Alan W Black, David Huggins-Daines and others.
> Copyright (c) 1999-2001 by: Language Technologies Institute, Carnegie Mellon University. All Rights
> Reserved.
>
> Permission is hereby granted, free of charge, to use and distribute this software and its documentation
> without restriction, including without limitation the rights to use, copy, modify, merge, publish,
> distribute, sublicense, and/or sell copies of this work, and to permit persons to whom this work is
> furnished to do so, subject to the following conditions: 1. The code must retain the above copyright notice,
> this list of conditions and the following disclaimer. 2. Any modifications must be clearly marked as
> such. 3. Original authors' names are not deleted. 4. The authors' names are not used to endorse or promote
> products derived from this software without specific prior written permission.
>
> CARNEGIE MELLON UNIVERSITY AND THE CONTRIBUTORS TO THIS WORK DISCLAIM ALL WARRANTIES WITH REGARD TO THIS
> SOFTWARE, INCLUDING ALL IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS, IN NO EVENT SHALL CARNEGIE MELLON
> UNIVERSITY NOR THE CONTRIBUTORS BE LIABLE FOR ANY SPECIAL, INDIRECT OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES
> WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN ACTION OF CONTRACT, NEGLIGENCE OR
> OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.

The sound files hold no code of flite. They were modified: pieces joined, with their own loudness, pace, pitch
and pauses.
"""
