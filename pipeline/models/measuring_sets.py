"""The networks that measure: `evaluate videos` needs them, no render does.

Where makers and mirrors published a size or a checksum it stands here.
"""

from __future__ import annotations

from pipeline.models.model_files import File
from pipeline.models.model_set import ModelSet

LATENT_SYNC = "ByteDance/LatentSync-1.5"
LPIPS_HEADS = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips"
BSD = "BSD-3-Clause (torchvision's backbone), BSD-2-Clause (the heads)"

SYNCNET = ModelSet(
    name="syncnet",
    what="SyncNet v2 for Sync-C and Sync-D: does the mouth fit the sound",
    license="not stated for the weights (code: MIT); the mirror is tagged openrail++",
    gated=False,
    repository=LATENT_SYNC,
    files=(
        File(
            key="syncnet",
            path="auxiliary/syncnet_v2.model",
            size=54573114,
            sha256="961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442",
        ),
    ),
)

I3D = ModelSet(
    name="i3d",
    what="I3D (Kinetics-400) for FVD as a table of tensors, as VideoGPT and TATS use it",
    license="not stated at the mirror; DeepMind's weights (Apache-2.0), converted",
    gated=False,
    repository="Xiaodong/FVD_I3D",
    files=(File("i3d", "i3d_pretrained_400.pt", megabytes=50.0),),
)

I3D_TORCHSCRIPT = ModelSet(
    name="i3d-torchscript",
    what="the same network for FVD as a TorchScript program, as StyleGAN-V uses it",
    license="not stated at the mirror; DeepMind's weights (Apache-2.0), converted",
    gated=False,
    repository=LATENT_SYNC,
    files=(
        File(
            key="i3d",
            path="auxiliary/i3d_torchscript.pt",
            size=51235320,
            sha256="bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2",
        ),
    ),
)

INCEPTION_FID = ModelSet(
    name="inception-fid",
    what="Inception v3 of TensorFlow's graph of 2015 for FID, converted by pytorch-fid",
    license="Apache-2.0",
    gated=False,
    repository=None,
    files=(
        File(
            key="inception",
            path="pt_inception-2015-12-05-6726825d.pth",
            size=95628359,
            sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            address="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
            "pt_inception-2015-12-05-6726825d.pth",
        ),
    ),
)

ARCFACE = ModelSet(
    name="arcface",
    what="ArcFace (ResNet-50 on WebFace600K, of InsightFace's buffalo_l) for CSIM",
    license="research only, not for commercial use (InsightFace)",
    gated=False,
    repository="public-data/insightface",
    files=(
        File(
            key="identity",
            path="models/buffalo_l/w600k_r50.onnx",
            size=174383860,
            sha256="4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
        ),
    ),
)

SFACE = ModelSet(
    name="sface",
    what="SFace of OpenCV's model zoo for CSIM where ArcFace's license is too narrow",
    license="Apache-2.0",
    gated=False,
    repository="opencv/face_recognition_sface",
    files=(
        File(
            key="identity",
            path="face_recognition_sface_2021dec.onnx",
            size=38696353,
            sha256="0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
        ),
    ),
)

LPIPS_ALEX = ModelSet(
    name="lpips-alex",
    what="AlexNet with the linear heads of LPIPS v0.1",
    license=BSD,
    gated=False,
    repository=None,
    files=(
        File(
            key="backbone",
            path="alexnet-owt-7be5be79.pth",
            megabytes=244.4,
            sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
            address="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        ),
        File(
            key="heads",
            path="alex.pth",
            size=6009,
            sha256="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
            address=f"{LPIPS_HEADS}/weights/v0.1/alex.pth",
        ),
    ),
)

LPIPS_VGG = ModelSet(
    name="lpips-vgg",
    what="VGG-16 with the linear heads of LPIPS v0.1",
    license=BSD,
    gated=False,
    repository=None,
    files=(
        File(
            key="backbone",
            path="vgg16-397923af.pth",
            size=553433881,
            sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
            address="https://download.pytorch.org/models/vgg16-397923af.pth",
        ),
        File(
            key="heads",
            path="vgg.pth",
            size=7289,
            sha256="a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
            address=f"{LPIPS_HEADS}/weights/v0.1/vgg.pth",
        ),
    ),
)

SETS = (
    SYNCNET,
    I3D,
    I3D_TORCHSCRIPT,
    INCEPTION_FID,
    ARCFACE,
    SFACE,
    LPIPS_ALEX,
    LPIPS_VGG,
)
