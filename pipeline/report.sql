-- What `facetmine report` tells: a view of schema `report` for every table that it writes. schemas/views.py has made
-- the tables of the dataset before, and pipeline/report.py the table person_terms (term, gender, age).
--
-- Rows come in the order that the views give them: a page shows the first. Comments are the words of the page.
-- Every number is the same on every run: floating-point sums add up in a stated order, and ties are broken by name.

CREATE SCHEMA report;

CREATE MACRO share(part, whole) AS round(part / nullif(whole, 0), 6);

CREATE VIEW uses AS
SELECT kind, 'reference' AS role, 1 AS place, reference_source AS source, reference_id AS image_id FROM triplets
UNION ALL
SELECT kind, 'target', 2, target_source, target_id FROM triplets
UNION ALL
SELECT kind, 'text distractor', 3, text_distractor_source, text_distractor_id
FROM triplets WHERE text_distractor_id IS NOT NULL
UNION ALL
SELECT kind, 'image distractor', 4, image_distractor_source, image_distractor_id
FROM triplets WHERE image_distractor_id IS NOT NULL;

-- How far the data goes

CREATE VIEW report.funnel AS
WITH steps AS (
    SELECT 1 AS place, 'captions' AS step, (SELECT count(*) FROM captions) AS number
    UNION ALL
    SELECT 2, 'captions that state something', (SELECT count(*) FROM scene_graphs)
    UNION ALL
    SELECT 3, 'facts', (SELECT count(*) FROM facts)
    UNION ALL
    SELECT 4, 'facts that pass the filters of mining', (SELECT max(rows_out) FROM stages WHERE stage = 'mine')
    UNION ALL
    SELECT 5, 'facts that are the target of a triplet', (
        SELECT count(DISTINCT (
            target_source, target_id, target_caption, if(kind LIKE '%_object', condition, subject),
            target_predicate, target_object, target_attribute
        )) FROM triplets
    )
    UNION ALL
    SELECT 6, 'triplets', (SELECT count(*) FROM triplets)
)
SELECT step, number FROM steps ORDER BY place;

COMMENT ON VIEW report.funnel IS
'Rows at each step. A fact that is a target counts once, however many triplets have it. A stage that has not run has '
'no rows, and neither has one whose table is not in the dataset.';

CREATE VIEW report.coverage AS
WITH named AS (SELECT DISTINCT source, image_id, image_key FROM facts),
everything AS (SELECT count(DISTINCT image_key) AS images FROM named),
used AS (
    SELECT place, role, image_key, count(*) AS times
    FROM (SELECT place, role, source, image_id FROM uses UNION ALL SELECT 5, 'any of them', source, image_id FROM uses)
    JOIN named USING (source, image_id)
    GROUP BY ALL
),
by_role AS (
    SELECT place, role, count(*) AS images, sum(times)::BIGINT AS uses, max(times) AS most_uses
    FROM used GROUP BY place, role
)
SELECT
    role, by_role.images, share(by_role.images, everything.images) AS share_of_images, uses,
    share(uses, by_role.images) AS uses_per_image,
    most_uses
FROM by_role, everything
ORDER BY place;

COMMENT ON VIEW report.coverage IS
'Images that triplets use, by role, and their share of all images whose captions state a fact; how often that is on '
'the average of those images, and for the one used most.';

-- Counts

CREATE VIEW report.kinds AS
WITH counted AS (
    SELECT
        kind, split, count(*) AS triplets, count(DISTINCT subject) AS subjects, count(DISTINCT condition) AS conditions,
        count(DISTINCT (reference_source, reference_id)) AS "references",
        count(DISTINCT (target_source, target_id)) AS targets
    FROM triplets GROUP BY kind, split
)
SELECT
    kind, split, triplets, share(triplets, sum(triplets) OVER ()) AS share, subjects, conditions, "references", targets
FROM counted
ORDER BY kind, split;

COMMENT ON VIEW report.kinds IS
'Triplets by kind and split, with the number of different subjects, conditions, reference images and target images.';

CREATE VIEW report.axes AS
WITH stated AS (
    SELECT axis, count(*) AS facts, count(DISTINCT attribute) AS facts_values
    FROM facts WHERE kind = 'attribute' GROUP BY axis
),
mined AS (
    SELECT
        axis,
        count(*) AS triplets,
        count(*) FILTER (kind = 'change_attribute') AS change_attribute,
        count(*) FILTER (kind = 'focus_attribute') AS focus_attribute,
        count(*) FILTER (kind = 'composite') AS composite
    FROM triplets WHERE axis IS NOT NULL GROUP BY axis
)
SELECT
    axis, coalesce(facts, 0) AS facts, share(coalesce(facts, 0), sum(facts) OVER ()) AS share_of_facts,
    coalesce(facts_values, 0) AS "values", coalesce(triplets, 0) AS triplets,
    share(coalesce(triplets, 0), sum(triplets) OVER ()) AS share_of_triplets,
    coalesce(change_attribute, 0) AS change_attribute, coalesce(focus_attribute, 0) AS focus_attribute,
    coalesce(composite, 0) AS composite
FROM stated FULL JOIN mined USING (axis)
ORDER BY facts DESC, triplets DESC, axis;

COMMENT ON VIEW report.axes IS
'Attribute facts by axis, the different values they state, and the triplets of the kinds whose condition has an axis.';

CREATE VIEW report.subjects AS
SELECT subject, triplets, share(triplets, sum(triplets) OVER ()) AS share, facts, images
FROM main.subjects
ORDER BY triplets DESC, facts DESC, subject;

COMMENT ON VIEW report.subjects IS
'What reference and target share: triplets, and the facts and images of captions that are about it.';

CREATE VIEW report.conditions AS
SELECT kind, condition, triplets, share(triplets, sum(triplets) OVER (PARTITION BY kind)) AS share_of_kind, subjects
FROM main.conditions
ORDER BY kind, triplets DESC, condition;

COMMENT ON VIEW report.conditions IS
'Conditions by kind, with the number of different subjects that each is asked of. The condition of focus_attribute is'
' the name of an axis.';

CREATE VIEW report.sources AS
WITH used AS (
    SELECT
        source,
        count(*) FILTER (role = 'reference') AS "references",
        count(*) FILTER (role = 'target') AS targets,
        count(*) FILTER (role = 'text distractor') AS text_distractors,
        count(*) FILTER (role = 'image distractor') AS image_distractors
    FROM uses GROUP BY source
),
read AS (SELECT source, count(*) AS captions FROM captions GROUP BY source),
stated AS (SELECT source, count(*) AS facts, count(DISTINCT image_key) AS images FROM facts GROUP BY source)
SELECT
    source, coalesce(captions, 0) AS captions, coalesce(facts, 0) AS facts, coalesce(images, 0) AS images,
    coalesce("references", 0) AS "references", coalesce(targets, 0) AS targets,
    coalesce(text_distractors, 0) AS text_distractors, coalesce(image_distractors, 0) AS image_distractors
FROM read FULL JOIN stated USING (source) FULL JOIN used USING (source)
ORDER BY source;

COMMENT ON VIEW report.sources IS
'Captions, facts, images that state one, and how many images of triplets come from each input, by role.';

CREATE VIEW report.contradictions AS
SELECT kind, contradiction, triplets, share(triplets, sum(triplets) OVER (PARTITION BY kind)) AS share_of_kind
FROM (SELECT kind, contradiction, count(*) AS triplets FROM triplets GROUP BY kind, contradiction)
ORDER BY kind, triplets DESC, contradiction;

COMMENT ON VIEW report.contradictions IS
'How the image distractor fails the condition: it states a value that excludes the condition''s, another object of '
'the subject, or nothing of the sort.';

-- Head and tail

CREATE VIEW report.head_and_tail AS
WITH said AS (
    SELECT 'facts' AS "of", kind, subject, coalesce(attribute, concat_ws(' ', predicate, object)) AS condition
    FROM facts
    UNION ALL
    SELECT 'triplets', kind, subject, condition FROM triplets
),
entries AS (
    SELECT "of", kind, 'subject' AS what, subject AS name FROM said
    UNION ALL
    SELECT "of", kind, 'condition', condition FROM said
),
-- Every row counts for its kind, and once more for all kinds together.
named AS (
    SELECT "of", what, coalesce(kind, 'all') AS kind, name, count(*) AS rows
    FROM entries GROUP BY GROUPING SETS (("of", what, kind, name), ("of", what, name))
),
ranked AS (
    SELECT *, row_number() OVER (PARTITION BY "of", what, kind ORDER BY rows DESC, name) AS rank FROM named
),
totals AS (
    SELECT "of", what, kind, sum(rows)::BIGINT AS rows, count(*) AS "distinct",
           count(*) FILTER (rows = 1) AS singletons,
           sum(rows) FILTER (rank <= 50)::BIGINT AS head
    FROM ranked GROUP BY "of", what, kind
),
-- Names that are equally frequent add the same to the entropy, so few terms remain, which are added in order.
terms AS (SELECT "of", what, kind, rows AS frequency, count(*) AS names FROM named GROUP BY "of", what, kind, rows),
entropies AS (
    SELECT "of", what, kind,
           sum(names * (frequency / total.rows) * log2(total.rows / frequency) ORDER BY frequency) AS entropy
    FROM terms JOIN totals AS total USING ("of", what, kind)
    GROUP BY "of", what, kind
)
SELECT
    what, "of", kind, rows, "distinct", round(entropy, 4) AS entropy_bits, share(head, rows) AS share_of_top_50,
    singletons, share(singletons, "distinct") AS share_of_singletons
FROM totals JOIN entropies USING ("of", what, kind)
ORDER BY what DESC, "of" DESC, kind = 'all' DESC, kind;

COMMENT ON VIEW report.head_and_tail IS
'How evenly subjects and conditions are spread. Entropy: 2 to its power is the number of equally frequent names that '
'would be as varied. Share of top 50: of the rows, those of the 50 most frequent names. Singletons: names that occur '
'once, and their share of the different names. Rows of facts are what captions state before any filter: the measure '
'of what mining has made of it.';

CREATE VIEW report.ranks AS
WITH said AS (
    SELECT 'facts' AS "of", subject, coalesce(attribute, concat_ws(' ', predicate, object)) AS condition FROM facts
    UNION ALL
    SELECT 'triplets', subject, condition FROM triplets
),
named AS (
    SELECT 'subject' AS what, "of", count(*) AS rows FROM said GROUP BY "of", subject
    UNION ALL
    SELECT 'condition', "of", count(*) FROM said GROUP BY "of", condition
),
ranked AS (
    SELECT
        what, "of", rows, row_number() OVER most_first AS rank, sum(rows) OVER most_first AS up_to,
        sum(rows) OVER (PARTITION BY what, "of") AS total, count(*) OVER (PARTITION BY what, "of") AS names
    FROM named
    WINDOW most_first AS (PARTITION BY what, "of" ORDER BY rows DESC ROWS UNBOUNDED PRECEDING)
)
SELECT what, "of", rank, rows, share(up_to, total) AS share_up_to
FROM ranked
WHERE rank = names OR rank IN (SELECT round(pow(10, step / 8.0)) FROM range(64) AS steps (step))
ORDER BY what DESC, "of" DESC, rank;

COMMENT ON VIEW report.ranks IS
'The same as curves. Names are ranked from the most frequent on; rows: of the name of that rank; share up to: of all '
'rows, those of the names up to it. Eight ranks for each power of ten, and the last.';

-- People

-- A name is that of a person by itself ("man") or by its last word ("old man", "football player").
CREATE VIEW person_names AS
SELECT name, coalesce(whole.term, tail.term) AS term, coalesce(whole.gender, tail.gender) AS gender,
       coalesce(whole.age, tail.age) AS age
FROM (SELECT DISTINCT subject AS name FROM facts)
LEFT JOIN person_terms AS whole ON whole.term = name
LEFT JOIN person_terms AS tail ON tail.term = split_part(name, ' ', -1)
WHERE coalesce(whole.term, tail.term) IS NOT NULL;

CREATE VIEW facts_of_people AS
SELECT facts.*, term, gender, age FROM facts JOIN person_names ON subject = name;

-- In the object kinds a person may be the condition, which is then what the target says something of.
CREATE VIEW triplets_of_people AS
SELECT triplets.*, term, gender, age, 'subject' AS of_whom FROM triplets JOIN person_names ON subject = name
UNION ALL
SELECT triplets.*, term, gender, age, 'condition'
FROM triplets JOIN person_names ON condition = name WHERE kind LIKE '%_object';

CREATE VIEW said_of_people AS
SELECT image_key, gender, age, 'attribute' AS what, attribute AS words FROM facts_of_people WHERE attribute IS NOT NULL
UNION ALL
SELECT image_key, gender, age, 'predicate', predicate FROM facts_of_people WHERE predicate IS NOT NULL
UNION ALL
SELECT image_key, gender, age, 'object', object FROM facts_of_people WHERE object IS NOT NULL;

CREATE VIEW targets_of_people AS
WITH said AS (SELECT * FROM triplets_of_people WHERE (of_whom = 'condition') = (kind LIKE '%_object'))
SELECT gender, age, 'attribute' AS what, unnest([target_attribute, target_second_attribute]) AS words FROM said
UNION ALL
SELECT gender, age, 'predicate', unnest([target_predicate, target_second_predicate]) FROM said
UNION ALL
SELECT gender, age, 'object', unnest([target_object, target_second_object]) FROM said;

CREATE VIEW report.people AS
WITH said AS (SELECT gender, age, count(*) AS facts, count(DISTINCT image_key) AS images
              FROM facts_of_people GROUP BY gender, age),
mined AS (SELECT gender, age, count(*) FILTER (of_whom = 'subject') AS triplets,
                 count(*) FILTER (of_whom = 'condition') AS as_condition
          FROM triplets_of_people GROUP BY gender, age)
SELECT
    gender, age, facts, share(facts, sum(facts) OVER ()) AS share_of_facts, images, coalesce(triplets, 0) AS triplets,
    share(coalesce(triplets, 0), sum(triplets) OVER ()) AS share_of_triplets, coalesce(as_condition, 0) AS as_condition
FROM said LEFT JOIN mined USING (gender, age)
ORDER BY facts DESC, gender, age;

COMMENT ON VIEW report.people IS
'Facts, images and triplets whose subject is a person, by the gender and the age group that the word for the person '
'tells; shares are of all people. "unstated": the word does not tell, as "person" and "player" do not. As condition: '
'triplets of the object kinds whose condition is such a person. A "girl" counts as a child, although captions call '
'grown women girls too.';

CREATE VIEW report.person_words AS
WITH said AS (SELECT term, count(*) AS facts, count(DISTINCT image_key) AS images
              FROM facts_of_people GROUP BY term),
mined AS (SELECT term, count(*) FILTER (of_whom = 'subject') AS triplets,
                 count(*) FILTER (of_whom = 'condition') AS as_condition
          FROM triplets_of_people GROUP BY term)
SELECT term, gender, age, facts, images, coalesce(triplets, 0) AS triplets, coalesce(as_condition, 0) AS as_condition
FROM said JOIN person_terms USING (term) LEFT JOIN mined USING (term)
ORDER BY facts DESC, term;

COMMENT ON VIEW report.person_words IS
'The same by the word for the person; "football player" counts as "player", which is its last word.';

CREATE VIEW report.person_genders AS
WITH sizes AS (
    SELECT count(DISTINCT image_key) FILTER (gender = 'female') AS females,
           count(DISTINCT image_key) FILTER (gender = 'male') AS males
    FROM facts_of_people
),
counted AS (
    SELECT what, words, count(DISTINCT image_key) FILTER (gender = 'female') AS female_images,
           count(DISTINCT image_key) FILTER (gender = 'male') AS male_images
    FROM said_of_people WHERE gender <> 'unstated'
    GROUP BY what, words
    HAVING female_images + male_images >= 5
),
-- Half an image is added everywhere, so that what is never said of one gender has odds too.
odds AS (
    SELECT *,
        ln((female_images + 0.5) / (females - female_images + 0.5))
            - ln((male_images + 0.5) / (males - male_images + 0.5)) AS log_odds,
        sqrt(1 / (female_images + 0.5) + 1 / (females - female_images + 0.5)
            + 1 / (male_images + 0.5) + 1 / (males - male_images + 0.5)) AS error
    FROM counted, sizes
),
mined AS (
    SELECT what, words, count(*) FILTER (gender = 'female') AS female_triplets,
           count(*) FILTER (gender = 'male') AS male_triplets
    FROM targets_of_people WHERE words IS NOT NULL GROUP BY what, words
)
SELECT
    what, words, CASE WHEN log_odds > 0 THEN 'female' WHEN log_odds < 0 THEN 'male' ELSE 'neither' END AS leans,
    female_images, male_images,
    share(female_images, females) AS share_of_female, share(male_images, males) AS share_of_male,
    round(log_odds, 3) AS log_odds, round(log_odds / error, 2) AS z,
    coalesce(female_triplets, 0) AS female_triplets, coalesce(male_triplets, 0) AS male_triplets
FROM odds LEFT JOIN mined USING (what, words)
ORDER BY what, leans, abs(z) DESC, words;

COMMENT ON VIEW report.person_genders IS
'What captions say of women and girls more often than of men and boys, and the other way about. It tells what was '
'photographed and what writers of captions found worth a word, not how people are; and as girls and boys are counted '
'in, some of it is a matter of age. Shares: of the images with a person of that gender of whom anything is said, '
'those where this is said. Log odds: natural logarithm of the ratio of the two odds; above 0 leans to female. z: log '
'odds divided by their standard error; between -2 and 2 it may be chance, and among so many words some beyond it are '
'too. Triplets: those whose target states it of such a person. Words in fewer than 5 images are left out.';

CREATE VIEW report.person_groups AS
WITH sizes AS (
    SELECT gender, age, count(DISTINCT image_key) AS group_images
    FROM facts_of_people GROUP BY gender, age
),
everyone AS (SELECT count(DISTINCT image_key) AS people_images FROM facts_of_people),
of_all AS (SELECT what, words, count(DISTINCT image_key) AS all_images FROM said_of_people GROUP BY what, words),
of_group AS (
    SELECT gender, age, what, words, count(DISTINCT image_key) AS images
    FROM said_of_people GROUP BY gender, age, what, words HAVING images >= 5
),
lifted AS (
    SELECT *, (images / group_images) / (all_images / people_images) AS ratio
    FROM of_group JOIN sizes USING (gender, age) JOIN of_all USING (what, words), everyone
)
SELECT gender, age, what, words, images, share(images, group_images) AS share_of_group, round(ratio, 3) AS lift
FROM lifted
ORDER BY gender, age, what, round(images * ln(ratio), 6) DESC, words;

COMMENT ON VIEW report.person_groups IS
'What captions say of each group more often than of people at large. In brackets: images of the group where it is '
'said, and the lift, which is its share of the group''s images divided by its share of the images of all people. '
'Words in fewer than 5 images of the group are left out.';

-- Examples

CREATE VIEW report.triplet_examples AS
WITH few AS (
    -- The genecis preset draws some triplets more than once.
    SELECT kind, unnest(min_by(triplet_id, md5(triplet_id), 4)) AS triplet_id
    FROM (SELECT DISTINCT kind, triplet_id FROM triplets) GROUP BY kind
)
SELECT triplets.*
FROM triplets JOIN few USING (kind, triplet_id)
QUALIFY row_number() OVER (PARTITION BY triplet_id ORDER BY text_distractor_id, image_distractor_id) = 1
ORDER BY kind, md5(triplet_id);

COMMENT ON VIEW report.triplet_examples IS
'A few of each kind, drawn by hash: the same triplets every time. Look at more of them before you train.';

-- What was removed

CREATE VIEW report.rejects AS
SELECT stage, reason, count(*) AS rows, share(count(*), max(rows_in)) AS share_of_rows_in
FROM main.rejects LEFT JOIN stages USING (stage)
GROUP BY stage, reason
ORDER BY list_position(['read', 'parse', 'score', 'mine', 'write'], stage), rows DESC, reason;

COMMENT ON VIEW report.rejects IS
'Rows that did not go on, by stage and reason, and their share of all rows that went into the stage: rows of input '
'files for read, captions for parse, images for score, facts for mine, draws for write. docs/architecture.md tells what each reason '
'means.';

CREATE VIEW report.reject_examples AS
WITH few AS (
    SELECT stage, reason, unnest(arg_min(
        {'detail': detail, 'source': source, 'position': position, 'image_id': image_id, 'caption_index': caption_index,
         'caption': caption},
        md5(concat_ws(chr(31), detail, source, position, image_id, caption_index, caption)), 5
    )) AS example
    FROM main.rejects GROUP BY stage, reason
)
SELECT few.* REPLACE (coalesce(few.caption, (
    SELECT min(facts.caption) FROM facts
    WHERE facts.source = few.source AND facts.image_id = few.image_id AND facts.caption_index = few.caption_index
)) AS caption)
FROM (SELECT stage, reason, unnest(example) FROM few) AS few
ORDER BY
    list_position(['read', 'parse', 'score', 'mine', 'write'], stage), reason, detail, source, position, image_id, caption_index,
    caption;

COMMENT ON VIEW report.reject_examples IS
'A few rows of each, drawn by hash: the same rows every time.';

-- Measures

CREATE VIEW measured AS
SELECT kind, 'prior' AS measure, 1 AS place, 0.1 AS width, 10 AS bins, prior::DOUBLE AS number FROM triplets
UNION ALL
SELECT kind, 'concreteness', 2, 0.5, 10, concreteness FROM triplets
UNION ALL
SELECT kind, 'visual_strength', 3, 0.5, 10, visual_strength FROM triplets
UNION ALL
SELECT kind, 'confidence', 4, 0.1, 10, confidence FROM triplets
UNION ALL
SELECT kind, 'ambiguity', 5, 0.5, 10, ambiguity FROM triplets;

CREATE VIEW report.histograms AS
WITH binned AS (
    -- Rounded before it is cut, since 0.7 in single precision is less than 0.7; the last bin takes what is at its end.
    SELECT measure, place, kind, width, count(*) AS triplets,
           if(number IS NULL, NULL, least(floor(round(number / width, 5)), bins - 1)) AS bin
    FROM measured GROUP BY ALL
)
SELECT
    measure, kind, round(bin * width, 2)::DOUBLE AS "from", round((bin + 1) * width, 2)::DOUBLE AS "to", triplets,
    share(triplets, sum(triplets) OVER (PARTITION BY measure, kind)) AS share_of_kind
FROM binned
ORDER BY place, bin NULLS LAST, kind;

COMMENT ON VIEW report.histograms IS
'Share of the triplets of each kind by what is measured of them; "unknown" has no value. prior: share of the '
'subject''s images that satisfy the condition, so what is true of nearly all tells little. concreteness: mean of the '
'things named, 1 to 5. visual_strength: how much the condition is seen, 0 to 5. confidence: of the parser, the lower '
'of reference and target. ambiguity: bits of doubt about the axis of the condition''s value.';

CREATE VIEW scored AS
WITH rejected AS (SELECT DISTINCT stage, reason, image_id, source, caption_index, detail FROM rejects),
-- The rows of scores are those of facts, in their order.
stated AS (
    SELECT
        facts.image_id, facts.image_key, facts.source, facts.caption_index, caption_score, fact_score,
        concat_ws(' ', subject, coalesce(predicate, 'is'), coalesce(object, attribute, '')) AS detail
    FROM facts POSITIONAL JOIN scores
),
captions_scored AS (
    SELECT DISTINCT image_id, image_key, source, caption_index, caption_score
    FROM stated WHERE caption_score IS NOT NULL
),
drawn AS (
    SELECT target_score, reference_score, text_distractor_score, image_distractor_score, true AS kept FROM triplets
    UNION ALL
    SELECT
        TRY_CAST(regexp_extract(detail, '(?:^|, )target ([-.\d]+)', 1) AS FLOAT),
        TRY_CAST(regexp_extract(detail, '(?:^|, )reference ([-.\d]+)', 1) AS FLOAT),
        TRY_CAST(regexp_extract(detail, '(?:^|, )own ([-.\d]+)', 1) AS FLOAT),
        TRY_CAST(regexp_extract(detail, '(?:^|, )image distractor ([-.\d]+)', 1) AS FLOAT),
        false
    FROM rejects WHERE stage = 'write'
)
SELECT 1 AS place, 'caption_score' AS score, caption_score::DOUBLE AS number,
       (image_id, source, caption_index) NOT IN (
           SELECT (image_id, source, caption_index) FROM rejected WHERE reason = 'does_not_fit_caption'
       ) AS kept
FROM captions_scored
UNION ALL
SELECT 2, 'fact_score', fact_score,
       (image_id, source, caption_index, detail) NOT IN (
           SELECT (image_id, source, caption_index, detail) FROM rejected
           WHERE reason IN ('does_not_fit_caption', 'not_in_picture')
       )
FROM stated WHERE fact_score IS NOT NULL
UNION ALL
SELECT 3, 'target_score', target_score, kept FROM drawn
UNION ALL
SELECT 4, 'reference_score', reference_score, kept FROM drawn
UNION ALL
SELECT 5, 'text_distractor_score', text_distractor_score, kept FROM drawn
UNION ALL
SELECT 6, 'image_distractor_score', image_distractor_score, kept FROM drawn;

CREATE VIEW report.fit_histograms AS
WITH binned AS (
    SELECT place, score, kept, floor(round(number / 0.02, 5)) AS bin FROM scored WHERE number IS NOT NULL
)
SELECT
    score, round(bin * 0.02, 2)::DOUBLE AS "from", round((bin + 1) * 0.02, 2)::DOUBLE AS "to",
    count(*) FILTER (kept) AS kept, count(*) FILTER (NOT kept) AS dropped
FROM binned
GROUP BY place, score, bin
ORDER BY place, bin;

COMMENT ON VIEW report.fit_histograms IS
'How well pictures and texts fit, by a CLIP model''s cosines, of what the filters on them kept and dropped. '
'caption_score: of captions with their images. fact_score: of facts. The others are of triplets: target_score, '
'reference_score and image_distractor_score of the target''s statement with the three images, text_distractor_score '
'of the text distractor''s own statement. Empty where the images were not scored.';
