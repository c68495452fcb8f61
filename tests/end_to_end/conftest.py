"""The app with a tiny model on a free port, and the files that its visitors send."""

import numpy as np
import pytest
import soundfile
from PIL import Image

from tests.helpers.stick_person import figure
from tests.helpers.tiny import speech, tiny_pipeline


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, str]:
    """A photograph (NASA, public domain), speech, a driving pose, bad files and a tiny model
    folder."""
    import skimage.data

    folder = tmp_path_factory.mktemp("app")
    tiny_pipeline().save_pretrained(folder / "model")
    Image.fromarray(skimage.data.astronaut()).save(folder / "face.png")
    Image.fromarray(np.full((256, 256, 3), 128, np.uint8)).save(folder / "grey.png")
    (folder / "text.png").write_text("not a picture")
    soundfile.write(folder / "speech.wav", speech(1.0).samples, 16000)
    soundfile.write(folder / "blink.wav", np.zeros(800), 16000)
    soundfile.write(folder / "silence.wav", np.zeros(8000), 16000)
    figure(20).save(folder / "pose.npz")
    return {path.name: str(path) for path in folder.iterdir()}


@pytest.fixture(scope="module")
def address(files, tmp_path_factory):
    """The app on a free port with the tiny model; its caches in a temporary folder."""
    changes = {
        "APV_MODEL": files["model"],
        "APV_CACHE": str(tmp_path_factory.mktemp("cache")),
        "GRADIO_TEMP_DIR": str(tmp_path_factory.mktemp("gradio")),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in changes.items():
            patch.setenv(name, value)
        from pipeline.studio.app import page as app_page

        page = app_page.build()
        _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, **app_page.launch_options())
        yield url
        page.close()
