"""What the settings of models mean, for people: name to (an example of a value, the meaning)."""

LTX2 = {
    "pipeline": ("two-stage", "one-stage (default), distilled, two-stage, distilled-two-stage, hq or tiled"),
    "steps": ("8", "sampling steps of the first stage, 1 to 1000"),
    "guidance": ("none", "name of a guidance preset, or none: one pass a step"),
    "skip_steps": ("1", "steps after each computed one that reuse its estimate, 0 to 99"),
    "schedule": ("distilled", "noise levels of the steps: ltx2, ltx2-tokens or distilled (eight steps)"),
    "sampler": ("res_2s", "euler or res_2s (second order, two evaluations a step)"),
    "lora_strength": ("0.6", "how strongly the first stage fuses the LoRA"),
    "adapter_strength": ("0.8", "how strongly all stages fuse the adapter (default 1)"),
    "refine_sampler": ("euler", "sampler of the second stage"),
    "refine_audio": ("keep", "refine: sample the sound again in the second stage; keep: the first stage's"),
    "refine_lora_strength": ("0.6", "how strongly the second stage fuses the LoRA"),
    "tiles": ("16x24x24", "second stage in tiles of latent frames x rows x columns"),
    "tile_overlap": ("4x6", "overlap of the tiles: latent frames x cells"),
    "double_frames": ("true", "first stage at half the frame rate; needs temporal_upsampler"),
    "temporal_upsampler": ("FILE", "safetensors file of the upsampler that doubles frames"),
    "dtype": ("bfloat16", "of weights and activations: float32 (default), bfloat16 or float16"),
    "negative": ("blurry", "negative prompt"),
    "fp8": ("true", "linear layers of the blocks in 8 bits: half of bfloat16's memory"),
    "offload": ("true", "blocks wait in CPU memory until they run; changes no result"),
    "compile": ("true", "blocks by torch.compile: minutes once, quicker steps"),
    "text_encoder": ("FOLDER", "folder of the Gemma 3 (default: text_encoder beside the checkpoint)"),
    "upsampler": ("FILE", "safetensors file that doubles height and width (default: the one beside the checkpoint)"),
    "lora": ("FILE", "LoRA that each stage fuses at its own strength, such as the distilled one"),
    "adapter": ("FILE", "LoRA that all stages fuse, such as a fine-tune's"),
    "image": ("frames/{prompt_id}.png", "picture of the first frame; names may hold {prompt_id}, {seed}, {sample}"),
    "keyframes": ("48:b.png+96:c.png", "pictures at other frames, FRAME:FILE joined by +"),
    "image_strength": ("0.8", "how far pictures are kept, above 0 to 1 (default)"),
    "audio": ("speech.wav", "file whose sound is given; the video is made for it"),
    "video": ("clip.mp4", "file whose frames are given, of the clip's size and rate; the sound is made for it"),
}
"""Of `ltx2:` models."""

DIFFUSERS = {
    "arguments": ("call.toml", "TOML file with arguments of the pipeline's call"),
    "dtype": ("bfloat16", "of the weights: float32, bfloat16 (default) or float16"),
    "revision": ("COMMIT", "of an ORGANISATION/NAME in the hub's cache"),
    "rate_hz": ("48000", "of the sound, where the pipeline does not say"),
    "native_fps": ("16", "frames per second, where the call takes none"),
    "offload": ("model", "none (default), model or sequential: components, or single layers, wait in CPU memory"),
}
"""Of `diffusers:` models."""
