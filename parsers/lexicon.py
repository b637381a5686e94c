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
    all some any none much many more most several few nothing nobody such same
    """
)
"""Words that stand for things without naming one."""

RELATIVE_PRONOUNS = frozenset(["that", "which", "who", "whom"])

GROUP_NOUNS = _words(
    """
    bit bits pair pairs couple couples group groups number variety set sets lot lots bunch many various kind kinds
    type types sort sorts range selection series alot some all both one most several none each any few half dozens
    hundreds thousands plenty amount majority multitude
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

PREPOSITIONS = _words(
    """
    in on at with from by for to near over under behind beside along through around against between across into onto
    during after before above below next inside outside within beneath among past off up down out of
    """
)

PLACE_ADVERBS = _words(
    """
    outside outdoors inside indoors onstage backstage offshore underwater upside barefoot downtown downstairs
    upstairs overhead horseback abroad
    """
)

NEGATIONS = _words("not n't never no nor neither hardly barely nobody nothing none cannot")
NEGATIVE_PREPOSITIONS = _words("without except minus sans instead lacking unlike despite devoid")
"""What stands behind them is not there."""

SKIPPED_ADJECTIVES = _words(
    """
    other another same many several various such own more few less certain some any all both each every much most
    next numerous available possible sure able due like no only very particular overall further
    additional countless
    """
)
"""Modifiers that say nothing visible of the thing."""

CLASSIFYING_ADJECTIVES = _words(
    """
    biological geographical olympic religious military musical visual martial automotive noble administrative armed
    """
)
"""Adjectives that name a kind together with whatever noun follows."""

NO_ADVERBS = _words("pretty")
"""Adjectives that the tagger takes for adverbs before another adjective."""

PLACING_VERBS = _words("park sit seat stand place situate locate lie lay rest pose gather set position")
"""Their "by" tells a place and no agent."""

ANIMATE_NOUNS = _words(
    """
    man woman child boy girl person people kid baby toddler teenager lady guy couple family actor actress player
    artist athlete model bride groom student teacher doctor soldier worker farmer chef cook musician singer dancer
    skier surfer skateboarder snowboarder rider cyclist runner swimmer hiker politician leader businessman
    businesswoman crowd fan tourist visitor mother father mom dad son daughter friend brother sister grandmother
    grandfather monk nun priest police officer fireman policeman guard knight king queen prince princess witch
    pirate clown santa dog puppy cat kitten horse pony cow bull sheep goat pig elephant giraffe zebra lion tiger
    bear monkey gorilla bird duck swan goose owl eagle parrot penguin fish shark whale dolphin turtle frog snake
    insect bee butterfly deer fox rabbit squirrel mouse wolf camel protester pedestrian passenger driver pilot
    customer shopper vendor gardener fisherman batter pitcher catcher umpire referee goalkeeper footballer boxer
    comedian celebrity author composer guitarist drummer
    """
)
"""Who acts where a phrase could also go for a thing near by."""

ANIMATE_ENDINGS = ("man", "men", "woman", "women", "ist", "boarder")

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

FIXED_PAIRS = _words(
    """
    action+film alternative+rock american+football art+director art+exhibition art+film art+gallery art+museum
    art+period australian+rules baby+boy baby+carriage baby+girl baby+shower baby+stroller bald+eagle barbed+wire
    bathing+suit beach+ball beach+house beach+towel beach+umbrella beach+volleyball boxing+ring building+site
    business+man business+suit business+woman cell+phone cheer+leader christmas+ball christmas+decoration
    christmas+light christmas+market christmas+party christmas+tree city+center city+centre city+hall city+street
    climbing+wall close+up club+house coloring+book comedy+film comic+book condensed+milk coral+reef country+artist
    crossing+guard cutting+board dining+room dining+table drawing+room dressing+room evening+dress fairy+tale
    fall+foliage fallow+deer family+man family+member family+portrait family+room family+tree fashion+business
    fashion+designer fashion+model fashion+show fashion+week fast+food fictional+character fictional+universe
    fighter+aircraft fighter+jet film+character film+costumer film+director film+festival film+format film+premiere
    filming+location fire+engine first+lady first+leg fishing+boat flying+saucer french+door french+fries front+door
    front+yard frying+pan garden+party geographical+feature glass+wine gold+medal golden+eagle golden+retriever
    grand+piano great+dane great+room greeting+card grizzly+bear guinea+pig hard+hat hard+rock heavy+metal
    high+chair high+heel high+school hiking+trail holiday+season home+office home+page home+plate home+run hot+air
    hot+dog hotel+room ice+cream indie+rock interior+design killer+whale lake+house landing+gear laundry+room
    light+bulb light+fixture light+pole light+post light+switch living+room living+space magnifying+glass main+dish
    main+street martial+arts meeting+room mobile+phone mountain+bike mountain+range movie+poster movie+star
    musical+artist musical+instrument night+club night+market night+sky northern+lights old+fashioned open+air
    orange+juice painting+artist paper+bag parking+lot pencil+skirt playing+card polar+bear polka+dot prime+minister
    public+transport punk+artist racing+car red+deer remote+control river+bank rock+artist rocking+chair
    rocky+mountain roller+coaster rugby+player running+shoe sailing+boat sand+box sand+castle sand+dune school+boy
    school+bus school+children school+girl school+uniform sea+lion sewing+machine shopping+cart shopping+center
    shopping+mall side+dish side+street side+table skiing+area sleeping+bag slow+motion smart+phone social+network
    solar+panel sports+association sports+car sports+equipment sports+facility sports+league sports+team spring+roll
    stained+glass stainless+steel steering+wheel sterling+silver stone+wall street+art street+artist street+lamp
    street+light street+market street+sign street+vendor stuffed+animal swimming+pool teddy+bear tourist+attraction
    toy+car toy+store traffic+light training+session vice+president video+game visual+artist waiting+room
    walking+stick walking+trail washing+machine wedding+cake wedding+dress wheel+chair white+house wild+boar
    wild+card winter+olympics wood+stove world+cup world+map world+premiere world+war
    """
)
"""Adjacent words that make one name, or a part of one, although the first alone would describe the second."""

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
    from by against taken painted drawn made created shot photographed designed rendered sketched filmed seen
    featuring showing depicting isolated in
    """
)
"""Words that tell of a depiction itself how it was made."""

EMPTY_STATES = _words(
    """
    seen taken pictured used expected called named titled included located listed made done said known found looked
    look looks looking entitled based set shown photographed featured depicted come came go goes went get gets got
    do does did say says following including according using
    """
)
"""Verbs that say nothing of a thing when they stand alone."""

PREDICATES = {"dress in": "wear", "dress on": "wear"}
"""Predicates that have a plainer name."""

PREPOSITION_PREDICATES = {"including": "include", "featuring": "feature", "regarding": "about"}
"""Participles that the tagger takes for prepositions, and their like."""

DATE_WORDS = _words(
    """
    january february march april may june july august september october november december monday tuesday wednesday
    thursday friday saturday sunday today yesterday tomorrow pm am year years month months week weeks hour hours
    minute minutes date
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
    pajamas binoculars goggles outskirts surroundings headphones stairs media data bass christmas angeles texas
    athletics physics gymnastics headquarters barracks chess
    """
)
VERB_LEMMAS = {
    "lying": "lie", "laid": "lay", "ground": "grind", "wound": "wind", "sung": "sing", "clad": "clad",
    "dying": "die", "tying": "tie", "'s": "be", "'re": "be", "'m": "be", "am": "be", "is": "be", "are": "be",
    "was": "be", "were": "be", "been": "be", "being": "be", "has": "have", "had": "have", "'ve": "have", "saw": "see",
    "left": "leave", "lit": "light", "singing": "sing", "swinging": "swing",
}  # fmt: skip
