"""The tokenizer of the bundled small model: words of a simple audio-video world, letters and bytes for the rest."""

from tokenizers import Tokenizer, decoders, models, normalizers, processors

SPECIAL_TOKENS = ("<pad>", "<eos>", "<bos>", "<unk>")
"""In Gemma's order, so that the ids are Gemma's."""

_SPACE = "▁"
_WORDS = """
red orange yellow green cyan blue purple violet magenta pink brown black white grey gray silver gold navy maroon teal
crimson scarlet turquoise lime beige dark light bright pale deep vivid colour color coloured colored colours
circle square triangle diamond star cross ball disc disk ring cube box block rectangle oval hexagon pentagon heart line
sphere shape shapes object objects circles squares triangles diamonds stars crosses balls discs cubes boxes blocks
wood wooden metal metallic glass glassy rubber rubbery stone plastic paper cloth water ceramic steel iron concrete
plain striped checked dotted solid pattern stripes checks dots outline filled smooth rough shiny matte
bounce bounces bouncing bounced slide slides sliding slid collide collides colliding collided collision collisions
blink blinks blinking flash flashes flashing rotate rotates rotating turn turns turning spin spins spinning
drift drifts drifting float floats floating hop hops hopping jump jumps jumping roll rolls rolling fall falls falling
drop drops dropping fell rise rises rising move moves moving moved stop stops stopping stopped start starts starting
hit hits hitting strike strikes striking land lands landing knock knocks knocking bump bumps bumping crash crashes
meet meets meeting touch touches cross crosses crossing pass passes passing fly flies flying swing swings swinging
appear appears appearing disappear disappears vanish vanishes stay stays rest rests grow grows shrink shrinks
go goes going come comes coming travel travels travelling glide glides gliding wait waits
sound sounds sounding tone tones hum hums humming beep beeps beeping click clicks clicking thud thuds knocks ring rings
clink clinks clang clangs chime chimes tick ticks tap taps pop pops buzz buzzes buzzing drone bell noise noises voice
silence silent quiet loud soft softly loudly low high deep pitch pitched steady short long dull sharp hollow
audio video impact impacts contact bass note notes music rhythm beat heard hear hears audible echo
one two three four five six seven eight nine ten once twice thrice times single double several many few both each
first second third fourth last next then before after while when until during finally again later early late middle
meanwhile together same different another other every time moment begins begin beginning end ends
left right centre center top bottom up down upward downward upwards downwards leftward rightward side sides edge corner
above below under over behind beside between near far across against toward towards from to into onto through along
floor wall walls ground ceiling background foreground frame screen scene view room space sky
camera still static fixed pan pans panning zoom zooms zooming in out slow slowly fast quickly quick gently hard
small medium large big little tiny huge wide narrow tall
a an the and or but with without of on at by for as is are was were be been being it its they them their that this these
those there no not all any some only also just very more less than so if which who what where how
has have had do does did make makes making made can will would plays play playing shows show gives give
off around away back forward backward about like
halfway clip chequered brief electronic constant we see happens happen fills fill ringing clack clacks lights light
rhombus run runs running underneath five five-pointed plus sign dry air nothing closer irregularly uneven intervals
"""
_PIECES = ("es", "ed", "ing", "er", "ly", "th", "he", "an", "in", "on", "re", "st", "en", "or", "ar", "al", "ou")


def build_tokenizer() -> Tokenizer:
    """The tokenizer: a unigram model whose best segmentation takes whole words, then pieces and letters, then bytes.

    Any UTF-8 text has tokens and none is unknown. Text is lower-cased. Ids and `<bos>` are as Gemma's.
    """
    tokenizer = Tokenizer(models.Unigram(vocabulary(), unk_id=SPECIAL_TOKENS.index("<unk>"), byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Lowercase(), normalizers.Prepend(_SPACE), normalizers.Replace(" ", _SPACE)]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A",
        pair="<bos> $A <bos> $B",
        special_tokens=[("<bos>", SPECIAL_TOKENS.index("<bos>"))],
    )
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return tokenizer


def vocabulary() -> list[tuple[str, float]]:
    """Tokens in the order of their ids, with log-probabilities that rank words over pieces over letters over bytes."""
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1) if not chr(code).isupper()]
    words = list(dict.fromkeys(_WORDS.split()))
    return [
        *((token, 0.0) for token in SPECIAL_TOKENS),
        *((f"<0x{byte:02X}>", -1000.0) for byte in range(256)),
        *((letter, -10.0) for letter in (_SPACE, *letters)),
        *((piece, -12.0) for piece in _PIECES),
        *((_SPACE + word, -11.0) for word in words),
    ]
