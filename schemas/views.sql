-- Views and table macros over the tables of a dataset; schemas/views.py has made the views of the tables (captions,
-- scene_graphs, facts, triplets, rejects) and the tables stages and manifest_files before it runs this.

CREATE VIEW images AS
WITH described AS (
    SELECT
        image_key,
        min(image_id) AS image_id,
        list(caption ORDER BY source, caption_index) AS captions,
        list_sort(list(DISTINCT source)) AS sources,
        min(url) AS url
    FROM captions
    GROUP BY image_key
),
stated AS (
    SELECT image_key, count(*) AS facts, list_sort(list(DISTINCT subject)) AS subjects
    FROM facts
    GROUP BY image_key
)
SELECT
    image_id,
    image_key,
    captions,
    coalesce(facts, 0) AS facts,
    coalesce(subjects, []) AS subjects,
    sources,
    url
FROM described LEFT JOIN stated USING (image_key);

COMMENT ON VIEW images IS 'one row an image: its captions, how many facts they state, and of what';
COMMENT ON COLUMN images.image_id IS 'id of the image';
COMMENT ON COLUMN images.image_key IS 'identity of the image across sources';
COMMENT ON COLUMN images.captions IS 'its captions, in order';
COMMENT ON COLUMN images.facts IS 'number of facts that its captions state';
COMMENT ON COLUMN images.subjects IS 'what these facts are about';
COMMENT ON COLUMN images.sources IS 'names of the inputs that have the image';
COMMENT ON COLUMN images.url IS 'address of the image, where an input has one';

CREATE VIEW relations AS
SELECT image_id, image_key, caption_index, subject, predicate, object, confidence, caption, source
FROM facts
WHERE kind = 'relation';

COMMENT ON VIEW relations IS 'the facts that relate a subject to an object';

CREATE VIEW attributes AS
SELECT image_id, image_key, caption_index, subject, attribute, axis, confidence, caption, source
FROM facts
WHERE kind = 'attribute';

COMMENT ON VIEW attributes IS 'the facts that state an attribute of a subject';

CREATE VIEW conditions AS
SELECT condition, kind, count(*) AS triplets, count(DISTINCT subject) AS subjects
FROM triplets
GROUP BY condition, kind;

COMMENT ON VIEW conditions IS 'one row a condition and kind of triplet';
COMMENT ON COLUMN conditions.condition IS 'the text given to the model beside the reference image';
COMMENT ON COLUMN conditions.kind IS 'kind of the triplets';
COMMENT ON COLUMN conditions.triplets IS 'number of triplets';
COMMENT ON COLUMN conditions.subjects IS 'number of different subjects among them';

CREATE VIEW subjects AS
WITH stated AS (
    SELECT subject, count(*) AS facts, count(DISTINCT image_key) AS images FROM facts GROUP BY subject
),
mined AS (
    SELECT subject, count(*) AS triplets FROM triplets GROUP BY subject
)
SELECT subject, coalesce(facts, 0) AS facts, coalesce(images, 0) AS images, coalesce(triplets, 0) AS triplets
FROM stated FULL JOIN mined USING (subject);

COMMENT ON VIEW subjects IS 'one row a subject of facts or triplets';
COMMENT ON COLUMN subjects.subject IS 'head of the thing';
COMMENT ON COLUMN subjects.facts IS 'number of facts about it';
COMMENT ON COLUMN subjects.images IS 'number of images whose captions state such a fact';
COMMENT ON COLUMN subjects.triplets IS 'number of triplets whose reference and target share it';

-- A parameter must not be called like a column that its macro reads, so these are named for what they are.

CREATE MACRO captions_of(image) AS TABLE
SELECT caption_index, caption, source, url
FROM captions
WHERE image_id = image
ORDER BY source, caption_index;

COMMENT ON MACRO TABLE captions_of IS 'the captions of the image with that id';

CREATE MACRO facts_of(image) AS TABLE
SELECT caption_index, kind, subject, predicate, object, attribute, axis, confidence, caption, source
FROM facts
WHERE image_id = image
ORDER BY source, caption_index, kind DESC, subject, predicate, object, attribute;

COMMENT ON MACRO TABLE facts_of IS 'the facts that the captions of the image with that id state';

CREATE MACRO triplets_of(thing) AS TABLE
SELECT *
FROM triplets
WHERE subject = thing
ORDER BY kind, condition, triplet_id;

COMMENT ON MACRO TABLE triplets_of IS 'the triplets of that subject';

-- md5, because DuckDB's hash() may change between its versions, and a sample quoted in a paper must not.
CREATE MACRO sample_triplets(n, seed := 0) AS TABLE
SELECT *
FROM triplets
ORDER BY md5(concat(triplet_id, ':', seed)), triplet_id
LIMIT n;

COMMENT ON MACRO TABLE sample_triplets IS 'n triplets drawn by hash of their id: the same for the same seed';

CREATE MACRO why(triplet) AS TABLE
WITH chosen AS (
    SELECT * FROM triplets WHERE triplet_id = triplet
),
roles AS (
    SELECT 'reference' AS role, subject AS shared, reference_id AS id, reference_source AS origin,
           reference_caption AS words
    FROM chosen
    UNION ALL
    SELECT 'target', subject, target_id, target_source, target_caption FROM chosen
    UNION ALL
    SELECT 'text_distractor', subject, text_distractor_id, text_distractor_source, text_distractor_caption FROM chosen
    UNION ALL
    SELECT 'image_distractor', subject, image_distractor_id, image_distractor_source, image_distractor_caption
    FROM chosen
),
-- By key, since another source may have the same image under its own id, and its captions count too.
keys AS (
    SELECT DISTINCT role, shared, image_key
    FROM roles JOIN facts ON facts.image_id = roles.id AND facts.source = roles.origin
),
statements AS (
    SELECT
        role,
        CASE kind
            WHEN 'relation' THEN concat_ws(' ', subject, predicate, object)
            ELSE concat(subject, ': ', attribute, ' (' || axis || ')')
        END AS words,
        bool_or(subject = shared) AS of_the_subject
    FROM keys JOIN facts USING (image_key)
    GROUP BY ALL
),
lines AS (
    SELECT 1 AS part, 'image' AS what, 1 AS line, role, concat_ws(': ', origin, id) AS words
    FROM roles WHERE id IS NOT NULL
    UNION ALL
    SELECT 2, 'caption', 1, role, words FROM roles
    UNION ALL
    SELECT 3, 'fact', row_number() OVER (PARTITION BY role ORDER BY of_the_subject DESC, words), role, words
    FROM statements
)
SELECT
    what,
    max(words) FILTER (role = 'reference') AS reference,
    max(words) FILTER (role = 'target') AS target,
    max(words) FILTER (role = 'text_distractor') AS text_distractor,
    max(words) FILTER (role = 'image_distractor') AS image_distractor
FROM lines
GROUP BY part, what, line
ORDER BY part, line;

COMMENT ON MACRO TABLE why IS 'images, captions and facts of a triplet beside each other, facts of its subject first';
