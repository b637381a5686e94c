"""Word lists of the rules, as data: lower-case words of English captions.

Kept small on purpose: only words on which the dependency tree alone decides wrongly and that captions use often.
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PRONOUNS = _words(
    """
    i me you he him she her it we us they them myself yourself himself herself itself ourselves themselves mine
    yours his hers ours theirs this that these those who whom which what whose whoever whatever there here one ones
    someone somebody something anyone anybody anything everyone everybody everything other others another each both
    all some any none much many more most several few nothing nobody lot lots such same
    """
)
"""Words that stand for things without naming one."""

RELATIVE_PRONOUNS = frozenset(["that", "which", "who", "whom"])

GROUP_NOUNS = _words(
    """
    pair pairs couple couples group groups number variety set sets lot lots bunch many various kind kinds type types
    sort sorts range selection series alot some all both one most several none each any few half dozens hundreds
    thousands plenty amount majority multitude
    """
)
"""What is counted stands behind their ``of``: "a group of people" is people."""

GROUP_QUANTITIES = {"couple": "2", "couples": "2"}

GROUP_SIZES = _words("large small big huge whole great wide full")
"""Adjectives that describe a group and not what it is made of."""

PART_NOUNS = _words(
    """
    arm back backseat balcony bank base beak body bone border bottom branch cabin ceiling center centre cockpit
    corner courtyard cover crust daughter deck dome door ear edge engine entrance exterior eye facade face father
    feather finger floor foot front gate grave hair hand handle harbor harbour head heart hill home hood interior
    keyboard leaf leg lid mane mother mouth neck nose outskirts palm parents paw peak petal pocket porch rear
    reflection roof seat shadow shell shore shoulder side skeleton skull son stem stern tail tip tire tomb top trunk
    wall waterfront wheel wife windshield wing window wrist husband sister brother
    """
)
"""Parts and kin: their ``of`` phrase names what has them."""

MULTI_WORD_HEADS = _words(
    """
    front top middle side back edge end bottom center centre foot corner rear tip base heart midst shape form
    background left right part outskirts shores banks case
    """
)
"""Nouns that make one preposition of "in the ... of", "on ... of"."""

MULTI_WORD_OPENERS = _words("in on at to by from near along as around off behind onto into")

PREPOSITION_PARTICLES = _words(
    """
    next close ahead out up down away off over back together along outside inside adjacent near far left right
    opposite
    """
)
"""Adverbs that make one predicate with the preposition behind them: "next to", "out of"."""

PLACE_ADVERBS = _words(
    """
    outside outdoors inside indoors onstage backstage offshore underwater upside barefoot downtown downstairs
    upstairs overhead horseback abroad
    """
)

NEGATIONS = _words("not n't never no nor neither hardly barely nobody nothing none cannot")
NEGATIVE_PREPOSITIONS = _words("without except minus sans instead lacking unlike despite")

SKIPPED_ADJECTIVES = _words(
    """
    other another same many several various such own more few less certain some any all both each every much most
    next last numerous multiple entire whole available possible sure able due ready-to-use like no only very
    particular overall further additional countless royalty - free
    """
)
"""Modifiers that say nothing visible of the thing."""

FIXED_ADJECTIVES = _words(
    """
    polar+bear hot+dog living+room dining+room dining+table swimming+pool cutting+board steering+wheel ice+cream
    parking+lot shopping+mall shopping+cart shopping+center high+school remote+control mobile+phone cell+phone
    french+fries musical+instrument musical+artist visual+artist filming+location greeting+card sleeping+bag
    washing+machine rocking+chair martial+arts fire+engine close+up dressing+room fishing+boat sailing+boat
    skiing+area wedding+dress wedding+cake running+shoe tourist+attraction traffic+light teddy+bear killer+whale
    guinea+pig grizzly+bear comic+book stuffed+animal bathing+suit boxing+ring racing+car frying+pan sewing+machine
    climbing+wall playing+card wheel+chair video+game flying+saucer waiting+room meeting+room landing+gear
    crossing+guard building+site walking+stick drawing+room first+lady vice+president prime+minister fallow+deer
    sea+lion northern+lights solar+panel roller+coaster hard+rock
    """
)
"""Adjective and noun that make one name."""

DESCRIBING_NOUNS = _words(
    """
    metal silver brick stone glass plastic leather wood steel iron bronze brass copper marble granite concrete
    cement denim silk velvet cotton wool lace linen satin fur straw bamboo clay ceramic porcelain paper cardboard
    rubber gravel dirt sand mud gold golden tan orange cream beige turquoise lavender navy maroon teal violet pink
    plaid polka stripe floral autumn winter summer spring fall morning evening night midday afternoon sunset cartoon
    pencil watercolor watercolour vintage retro art luxury toy baby adult toddler city country village mountain
    ocean beach river lake forest garden home street world charity designer celebrity costume christmas halloween
    easter holiday club fantasy romance action comedy gothic grunge punk hipster business family school church hotel
    palace castle sports film movie fashion fighter passenger side
    """
)
"""Nouns that describe the noun behind them as an adjective does: material, colour, season, style, place."""

FIXED_COMPOUNDS = _words(
    """
    christmas+tree night+sky beach+ball beach+volleyball street+light city+hall city+centre city+center family+man
    home+run fashion+show fashion+designer fashion+model film+director movie+star school+bus world+cup sports+team
    sports+league sports+facility sports+car baby+carriage garden+party street+sign street+lamp beach+house
    mountain+range mountain+bike school+uniform art+gallery toy+store business+suit side+street glass+wine art+film
    wood+stove river+bank lake+house gold+medal beach+towel hotel+room club+house home+plate sand+castle sand+dune
    night+club winter+olympics spring+roll fall+foliage paper+bag stone+wall baby+shower home+page sand+box
    baby+girl baby+boy school+children family+portrait city+street family+member country+artist punk+artist
    comedy+film action+film world+war street+artist street+vendor christmas+ball art+director beach+umbrella
    sports+association sports+equipment
    """
)
"""Compounds that stay whole although they open with a describing noun."""

COLORS = _words(
    """
    white black blue green red brown yellow gray grey orange pink purple tan gold golden silver beige turquoise teal
    violet maroon navy cream lavender
    """
)
SHADES = _words("dark light bright pale deep royal navy baby hot neon vivid soft sky")
"""Words that make one value with the colour behind them."""

KEPT_DEGREES = _words("most least partly brightly half fully snow hand newly freshly all")
"""Adverbs that belong to the value; other adverbs of degree are dropped."""

NUMBERS = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
    "ten": "10", "eleven": "11", "twelve": "12", "thirteen": "13", "fifteen": "15", "twenty": "20",
}  # fmt: skip

BOILERPLATE_MODIFIERS = _words("stock vector royalty clipart eps hd 4k jpg png copyright")
MEDIUM_NOUNS = _words(
    """
    photo photos photograph photographs image images picture pictures footage clip video stock vector vectors
    royalty clipart copyright photography
    """
)
"""The medium itself: a thing only where the caption relates it to one."""

DEPICTIONS = _words(
    """
    illustration portrait view photo photograph image picture drawing sketch silhouette close-up closeup shot detail
    footage video vector cartoon painting render rendering scene
    """
)
MAKING = _words(
    """
    from by against taken painted drawn made created shot photographed designed rendered sketched filmed seen featuring
    showing depicting isolated in
    """
)
"""Words that tell of a depiction itself how it was made."""

EMPTY_STATES = _words(
    """
    seen taken pictured used expected called named titled included located listed made done said known found looked look
    looks held entitled based set shown photographed featured depicted come came go goes went get gets got do does did
    say says said following including according using
    """
)
"""Verbs that say nothing of a thing when they stand alone."""

PREPOSITIONS_OF_VERBS = {"including": "include", "featuring": "feature", "regarding": "about", "beneath": "under"}

DATE_WORDS = _words(
    """
    january february march april may june july august september october november december monday tuesday wednesday
    thursday friday saturday sunday today yesterday tomorrow pm am year years month months week weeks hour hours
    minute minutes date day's
    """
)

NOT_DEPICTED = _words("can could may might would should must will shall 'll ca wo")
"""Auxiliaries under which a verb states what may be, not what is seen."""

COMMANDS = _words(
    """
    look go come listen sit stand walk head visit see get click learn find join make take try keep let check buy
    shop read discover enjoy follow watch choose wear add use be have do give put save win download meet create turn
    """
)
"""Verbs that open advice; other verbs without subject at a caption's start are mostly nouns ("view from the roof")."""

ING_NOUNS = _words(
    """
    building painting wedding meeting lighting drawing clothing ceiling evening morning opening ending wing king
    ring spring string thing engraving lettering flooring seating railing carving landing crossing clearing greeting
    gathering parking dining housing training etching icing topping pudding earring stocking wallpaper
    """
)
"""Nouns that the tagger takes for participles ("building at night")."""

PLURAL_ONLY = _words(
    """
    clothes glasses sunglasses eyeglasses pants jeans shorts trousers leggings tights scissors series species news
    pajamas binoculars goggles outskirts surroundings headphones stairs media data bass physics gymnastics
    headquarters barracks chess
    """
)
VERB_LEMMAS = {
    "lying": "lie", "laid": "lay", "ground": "grind", "bored": "bore", "wound": "wind", "sung": "sing", "clad": "clad",
    "dying": "die", "tying": "tie", "'s": "be", "'re": "be", "'m": "be", "am": "be", "is": "be", "are": "be",
    "was": "be", "were": "be", "been": "be", "being": "be", "has": "have", "had": "have", "'ve": "have", "saw": "see",
    "felled": "fell", "left": "leave", "lit": "light", "singing": "sing", "swinging": "swing",
}  # fmt: skip
