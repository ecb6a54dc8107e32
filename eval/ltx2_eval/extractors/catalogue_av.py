"""Encoders of pictures, and of pictures together with sound: reading this imports none of them."""

from typing import Literal

from ltx2_eval.extractors.base import ExtractorSpec


def _spec(
    id: str,  # noqa: A002  (the field's name)
    title: str,
    stream: Literal["video", "audio"],
    dimension: int,
    weights: str,
    preprocessing: str,
    sampling: str,
    source: str,
    implementation: str,
    beside: tuple[str, ...] = (),
) -> ExtractorSpec:
    return ExtractorSpec(
        id=id,
        version=1,
        title=title,
        stream=stream,
        dimension=dimension,
        weights=weights,
        preprocessing=preprocessing,
        sampling=sampling,
        source=source,
        implementation=f"ltx2_eval.extractors.{implementation}",
        beside=beside,
    )


_IMAGEBIND = "Girdhar et al. 2023, facebookresearch/ImageBind; sound mixed to mono, where theirs takes the left channel"
_VIDEO_WAY, _SOUND_WAY = "3crops224-bilinear-noaa-clipnorm", "mono16000-soxrvhq-kaldi128"

_SYNC = (
    _spec(
        "synchformer",
        "Synchformer, AudioSet, scores of 21 offsets",
        "video",
        21,
        "synchformer",
        "cc224-bicubic-aa-half+mono16000-soxrvhq-mel128-1024-400-160",
        "25fps-first-due-14segments-both-ends",
        "Iashin et al. 2024, v-iashin/Synchformer; crops and segments as hkchengrex/av-benchmark",
        "synchformer:SynchformerExtractor",
    ),
    _spec(
        "syncnet-crops",
        "SyncNet, lips and sound, of clips that are face crops",
        "video",
        1024,
        "syncnet",
        "squash224-bilinear-noaa-bgr255+mono16000-soxrvhq-mfcc13",
        "25fps-first-due-5frames",
        "Chung and Zisserman 2016, joonson/syncnet_python",
        "syncnet:SyncNetExtractor",
    ),
)

_BINDING = (
    _spec(
        "imagebind-video",
        "ImageBind-huge, pictures",
        "video",
        1024,
        "imagebind",
        _VIDEO_WAY,
        "5x2s-first-and-last-frame",
        _IMAGEBIND,
        "imagebind:ImageBindVideoExtractor",
    ),
    _spec(
        "imagebind-sound",
        "ImageBind-huge, sound",
        "audio",
        1024,
        "imagebind",
        _SOUND_WAY,
        "3x2s",
        _IMAGEBIND,
        "imagebind:ImageBindSoundExtractor",
    ),
    _spec(
        "imagebind-pair",
        "ImageBind-huge, pictures and sound",
        "video",
        1024,
        "imagebind",
        f"{_VIDEO_WAY}+{_SOUND_WAY}",
        "5x2s-first-and-last-frame+3x2s",
        _IMAGEBIND,
        "imagebind:ImageBindPairExtractor",
    ),
    _spec(
        "imagebind-stills",
        "ImageBind-huge, every frame as a still picture, and windows of sound",
        "video",
        1024,
        "imagebind",
        f"cc224-bicubic-aa-clipnorm+{_SOUND_WAY}",
        "all-frames+3x2s+windows2s-hop0.5s",
        _IMAGEBIND,
        "imagebind:ImageBindStillsExtractor",
    ),
)

_VIDEO = (
    _spec(
        "videomae2-g-ssv2",
        "VideoMAE-v2-g, Something-Something-v2, features",
        "video",
        1408,
        "videomae2-g-ssv2",
        "squash224-bilinear-noaa-01",
        "16f-native-centre",
        "Wang et al. 2023, OpenGVLab/VideoMAEv2; fed as songweige/content-debiased-fvd does",
        "videomae:VideoMaeExtractor",
    ),
    _spec(
        "i3d-k400-eps1e-5",
        "I3D RGB, Kinetics-400, logits, batch norm eps 1e-5",
        "video",
        400,
        "i3d-k400",
        "cc224-bilinear-noaa",
        "16f8fps-centre",
        "Carreira and Zisserman 2017; eps as in wilson1yan/VideoGPT and its followers",
        "i3d:I3dVideoGptExtractor",
    ),
    _spec(
        "i3d-k400-torch",
        "I3D RGB, Kinetics-400, logits, from VideoGPT's file",
        "video",
        400,
        "i3d-k400-torch",
        "cc224-bilinear-noaa",
        "16f8fps-centre",
        "Carreira and Zisserman 2017; converted by wilson1yan/VideoGPT, batch norm eps 1e-3 as in the graph",
        "i3d:I3dExtractor",
    ),
)

_FRAMES = (
    _spec(
        "dino-vitb16-frames",
        "DINO ViT-B/16, every frame",
        "video",
        768,
        "dino-vitb16",
        "short224-bilinear-noaa-imagenetnorm",
        "all-frames",
        "Caron et al. 2021, facebook/dino-vitb16; frames as Vchitect/VBench",
        "consistency:DinoExtractor",
    ),
    _spec(
        "clip-vit-b32-frames",
        "CLIP ViT-B/32, every frame",
        "video",
        512,
        "clip-vit-b32",
        "cc224-bicubic-noaa-clipnorm",
        "all-frames",
        "Radford et al. 2021, openai/clip-vit-base-patch32; frames as Vchitect/VBench",
        "consistency:ClipEveryFrameExtractor",
    ),
    _spec(
        "clip-vit-l14-336",
        "CLIP ViT-L/14 at 336 pixels, image embedding",
        "video",
        768,
        "clip-vit-l14-336",
        "squash336-bicubic-noaa-clipnorm",
        "2f-bin-centres",
        "Radford et al. 2021; frames as Jayasumana et al. 2024, CMMD",
        "clip_frames:CmmdExtractor",
    ),
    _spec(
        "laion-aesthetic",
        "LAION aesthetic score of frames (linear head on CLIP ViT-L/14)",
        "video",
        1,
        "clip-vit-l14",
        "cc224-bicubic-aa-clipnorm",
        "16f-bin-centres",
        "LAION-AI/aesthetic-predictor, sa_0_4_vit_l_14_linear",
        "clip_frames:AestheticExtractor",
        beside=("laion-aesthetic",),
    ),
    _spec(
        "efficientnet-lite0",
        "EfficientNet-Lite0, ImageNet, features before the classifier",
        "video",
        1280,
        "efficientnet-lite0",
        "cc224-bicubic-aa-127-128",
        "8f-bin-centres",
        "Tan and Le 2019, the Lite release",
        "efficientnet:EfficientNetExtractor",
    ),
    _spec(
        "objects-seen-heard",
        "ImageNet objects seen (EfficientNet-Lite0) and heard (SoundNet)",
        "video",
        1000,
        "efficientnet-lite0",
        "cc224-bicubic-aa-127-128+mono22050-soxrvhq-x256",
        "8f-bin-centres+whole-repeated-to-12s",
        "Tan and Le 2019; Aytar, Vondrick and Torralba 2016",
        "objects:ObjectsExtractor",
        beside=("soundnet",),
    ),
    _spec(
        "lpips-alex-frames",
        "LPIPS over AlexNet, frames as points",
        "video",
        111_360,
        "lpips-alex",
        "squash112-bilinear-noaa-half",
        "4f-bin-centres",
        "Zhang et al. 2018, richzhang/PerceptualSimilarity",
        "lpips:LpipsExtractor",
    ),
    _spec(
        "transnetv2",
        "TransNetV2, probabilities that a frame ends a shot",
        "video",
        2,
        "transnetv2",
        "squash48x27-bilinear-aa",
        "all-frames-windows100-hop50",
        "Souček and Lokoč 2020, soCzech/TransNetV2",
        "transnet:TransNetExtractor",
    ),
)

SPECS: tuple[ExtractorSpec, ...] = (*_SYNC, *_BINDING, *_VIDEO, *_FRAMES)
