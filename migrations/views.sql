-- The views that users and `esprobe report` read: plain SQL for any SQLite client since 3.31, and for DuckDB's sqlite scanner.
-- Dropped before and made again after every migration, so each is written once. A change here needs a new revision.
--
-- What both understand: no MATERIALIZED (SQLite since 3.35), no division of whole numbers (DuckDB's has a fraction), floats as 1e0
-- (DuckDB takes 1.0 for a decimal), no column beside GROUP BY that is not in it, a condition for every JOIN.
-- What is known of a problem is proven under the rule of the scorer that bears its task's name, so it is NULL for any other.

-- Scored and correct draws of each arm × problem.
CREATE VIEW solved AS
SELECT scorer, arm_id, problem_id, count(*) AS n, sum(correct) AS c
FROM score
GROUP BY scorer, arm_id, problem_id;

-- Unbiased pass@k = 1 − C(n−c, k) / C(n, k) (Chen et al. 2021), mean over the problems that have at least k draws;
-- k = 1, 2, 4, … and the largest n of the arm. stderr: standard error of that mean over problems, NULL for one problem.
-- chance: pass@k of uniformly random valid answers, 1 − (1 − p)^k, on the same problems.
CREATE VIEW pass_at_k AS
WITH RECURSIVE
cell AS (
  SELECT
    solved.scorer, solved.arm_id, solved.n, solved.c,
    CASE WHEN problem.task = solved.scorer THEN problem.chance END AS p
  FROM solved JOIN problem ON problem.id = solved.problem_id
),
depth AS (SELECT scorer, arm_id, max(n) AS most FROM cell GROUP BY scorer, arm_id),
power(k) AS (SELECT 1 UNION ALL SELECT 2 * k FROM power WHERE 2 * k <= (SELECT max(most) FROM depth)),
wanted AS (
  SELECT depth.scorer, depth.arm_id, power.k FROM depth JOIN power ON power.k <= depth.most
  UNION
  SELECT scorer, arm_id, most FROM depth
),
-- C(n−c, k) / C(n, k) is the product over i < c of (n−k−i) / (n−i): one step per correct draw, for every n and k that occur.
size AS (SELECT n, max(c) AS c FROM cell GROUP BY n),
miss(n, k, c, most, q) AS (
  SELECT size.n, ks.k, 0, size.c, 1e0 FROM size JOIN (SELECT DISTINCT k FROM wanted) AS ks ON ks.k <= size.n
  UNION ALL
  SELECT n, k, c + 1, most, q * (n - k - c) / (n - c) FROM miss WHERE c < most AND c < n - k
),
-- (1 − p)^k by repeated squaring.
rate AS (SELECT DISTINCT chance AS p FROM problem WHERE chance IS NOT NULL),
odds(p, k, rest, base, q) AS (
  SELECT rate.p, ks.k, ks.k, 1e0 - rate.p, 1e0 FROM rate CROSS JOIN (SELECT DISTINCT k FROM wanted) AS ks
  UNION ALL
  SELECT p, k, rest >> 1, base * base, CASE WHEN rest % 2 = 1 THEN q * base ELSE q END FROM odds WHERE rest > 0
),
each AS (
  SELECT
    cell.scorer, cell.arm_id, wanted.k,
    1e0 - coalesce(miss.q, 0e0) AS x,  -- no row: fewer than k wrong draws, so k draws always include a correct one
    1e0 - odds.q AS chance
  FROM cell
  JOIN wanted ON wanted.scorer = cell.scorer AND wanted.arm_id = cell.arm_id AND wanted.k <= cell.n
  LEFT JOIN miss ON miss.n = cell.n AND miss.k = wanted.k AND miss.c = cell.c
  LEFT JOIN odds ON odds.p = cell.p AND odds.k = wanted.k AND odds.rest = 0
),
average AS (
  SELECT
    scorer, arm_id, k, count(*) AS problems, avg(x) AS mean,
    CASE WHEN count(chance) = count(*) THEN avg(chance) END AS chance
  FROM each GROUP BY scorer, arm_id, k
),
spread AS (
  SELECT
    average.scorer, average.arm_id, average.k, average.problems, average.mean, average.chance,
    sum((each.x - average.mean) * (each.x - average.mean)) AS squares
  FROM each JOIN average ON average.scorer = each.scorer AND average.arm_id = each.arm_id AND average.k = each.k
  GROUP BY average.scorer, average.arm_id, average.k, average.problems, average.mean, average.chance
),
-- Square root by Newton's iteration, since not every SQLite has sqrt(). One problem has no variance: NULL.
newton(scorer, arm_id, k, problems, mean, chance, variance, step, root) AS (
  SELECT
    scorer, arm_id, k, problems, mean, chance,
    CASE WHEN problems > 1 THEN squares / (problems * (problems - 1)) END, 0, 0.5e0
  FROM spread
  UNION ALL
  SELECT
    scorer, arm_id, k, problems, mean, chance, variance, step + 1,
    CASE WHEN variance > 0 THEN (root + variance / root) / 2 ELSE variance END
  FROM newton WHERE step < 48
)
SELECT
  newton.arm_id, arm.task, model.name AS model, arm.method, arm.value, newton.k, newton.problems,
  newton.mean AS pass_at_k, newton.root AS stderr, newton.chance, newton.scorer
FROM newton
JOIN arm ON arm.id = newton.arm_id
JOIN model ON model.id = arm.model_id
WHERE newton.step = 48
ORDER BY newton.scorer, newton.arm_id, newton.k;

-- vote@k: how often the most frequent ballot of k draws is correct, ties shared equally among the tied ballots. Draws without a
-- ballot do not vote; where none votes, it is 0. Mean over the disjoint blocks of k consecutive draws, whole ones only, then over
-- the problems that have at least k draws; k as in pass_at_k.
-- vote_at_k_by_expression is the same with the column `expression` for the ballot; `view_statements` makes it of this text.
CREATE VIEW vote_at_k AS
WITH RECURSIVE
-- voters: draws with a ballot. listed: whether the view goes through every vote, since neither n nor a range of draws counts them.
cell AS (
  SELECT
    scorer, arm_id, problem_id, count(*) AS n, sum(correct) AS c, min(draw) AS lowest, max(draw) AS highest,
    count(ballot) AS voters,
    CASE WHEN count(ballot) < count(*) AND max(draw) - min(draw) > count(*) - 1 THEN 1 ELSE 0 END AS listed,
    row_number() OVER (ORDER BY scorer, arm_id, problem_id) AS id
  FROM score GROUP BY scorer, arm_id, problem_id
),
depth AS (SELECT scorer, arm_id, max(n) AS most FROM cell GROUP BY scorer, arm_id),
power(j, k) AS (SELECT 1, 1 UNION ALL SELECT j + 1, 2 * k FROM power WHERE 2 * k <= (SELECT max(most) FROM depth)),
wanted AS (
  SELECT depth.scorer, depth.arm_id, power.j, power.k FROM depth JOIN power ON power.k <= depth.most
  UNION ALL
  SELECT scorer, arm_id, 0, most FROM depth WHERE most NOT IN (SELECT k FROM power)
),
-- Draws of problems in which some between others are missing, and their places from 0; elsewhere that is draw − lowest.
gapped AS (
  SELECT cell.id, score.draw, row_number() OVER (PARTITION BY cell.id ORDER BY score.draw) - 1 AS place
  FROM cell CROSS JOIN score
  WHERE cell.scorer = score.scorer AND cell.arm_id = score.arm_id AND cell.problem_id = score.problem_id
    AND cell.c > 0 AND cell.highest - cell.lowest > cell.n - 1
),
-- Votes on problems with a correct draw; on others every block is 0. before: the place of the last draw that voted alike.
-- CROSS JOIN keeps SQLite to this order: each problem's draws are one range of ix_score_counts, already in order of draw.
vote AS (
  SELECT id, n, listed, place, ballot, correct, lag(place) OVER (PARTITION BY id, ballot ORDER BY place) AS before
  FROM (
    SELECT
      cell.id, cell.n, cell.listed, coalesce(gapped.place, score.draw - cell.lowest) AS place, score.ballot, score.correct
    FROM cell CROSS JOIN score LEFT JOIN gapped ON gapped.id = cell.id AND gapped.draw = score.draw
    WHERE cell.scorer = score.scorer AND cell.arm_id = score.arm_id AND cell.problem_id = score.problem_id
      AND cell.c > 0 AND score.ballot IS NOT NULL
  ) AS placed
),
-- A block of k = 2^i draws holds two votes if their places differ in the last i bits alone, so if apart (exclusive or) < k.
spaced AS (
  SELECT id, n, listed, place, ballot, correct, coalesce((place | before) - (place & before), 2147483647) AS apart
  FROM vote WHERE before IS NOT NULL OR correct = 1 OR listed = 1
),
level(j, k) AS (SELECT DISTINCT j, CASE WHEN j = 0 THEN 2147483647 ELSE k END FROM wanted),  -- 0: all draws as one block
-- Ballots by block. Most are wrong and of one draw: they win nothing and only share where no ballot has two votes, so they are
-- left out here and counted in cell_won.
-- block: cell, k and the place of the first draw, as one number: grouping by several columns takes four times as long.
counted AS (
  SELECT
    (id * 64 + j) * 2147483648 + place - place % k AS block, ballot,
    1 + sum(CASE WHEN apart < k THEN 1 ELSE 0 END) AS votes, max(correct) AS correct
  FROM spaced CROSS JOIN level
  WHERE (apart < k OR correct = 1 OR listed = 1) AND (place - place % k + k <= n OR j = 0)
  GROUP BY (id * 64 + j) * 2147483648 + place - place % k, ballot
),
tied AS (SELECT block, votes, count(*) AS ballots, sum(correct) AS correct FROM counted GROUP BY block, votes),
-- Of the most votes in the block: votes, correct ballots and all ballots, as one number whose greatest is that of the most votes.
won AS (
  SELECT block, max((CAST(votes AS BIGINT) << 40) + (CAST(correct AS BIGINT) << 20) + ballots) AS most FROM tied GROUP BY block
),
-- Where each ballot has one vote, there are as many ballots as draws that vote.
cell_won AS (
  SELECT
    won.block >> 31 AS id,
    sum(1e0 * ((won.most >> 20) & 1048575) / CASE
      WHEN won.most >> 40 > 1 OR cell.listed = 1 THEN won.most & 1048575
      WHEN cell.voters = cell.n THEN coalesce(power.k, cell.n)
      ELSE (
        SELECT count(score.ballot) FROM score
        WHERE score.scorer = cell.scorer AND score.arm_id = cell.arm_id AND score.problem_id = cell.problem_id
          AND score.draw >= cell.lowest + (won.block & 2147483647)
          AND score.draw < cell.lowest + (won.block & 2147483647) + coalesce(power.k, cell.n)
      )
    END) AS share
  FROM won
  JOIN cell ON cell.id = won.block >> 37
  LEFT JOIN power ON power.j = (won.block >> 31) & 63
  GROUP BY won.block >> 31
),
average AS (
  SELECT
    cell.scorer, cell.arm_id, wanted.k, count(*) AS problems,
    avg(coalesce(cell_won.share, 0e0) * wanted.k / (cell.n - cell.n % wanted.k)) AS mean
  FROM cell
  JOIN wanted ON wanted.scorer = cell.scorer AND wanted.arm_id = cell.arm_id AND wanted.k <= cell.n
  LEFT JOIN cell_won ON cell_won.id = cell.id * 64 + wanted.j
  GROUP BY cell.scorer, cell.arm_id, wanted.k
)
SELECT
  average.arm_id, arm.task, model.name AS model, arm.method, arm.value, average.k, average.problems,
  average.mean AS vote_at_k, average.scorer
FROM average
JOIN arm ON arm.id = average.arm_id
JOIN model ON model.id = arm.model_id
ORDER BY average.scorer, average.arm_id, average.k;

-- One row per arm. draws: the most that any problem has. solvable: problems proven so; unknown: neither proven solvable nor
-- proven impossible, so at most solvable + unknown can be solved. cut_off, nan: rollouts of the arm that ended at the limit of
-- tokens, or where the model's output was no number. settings: JSON.
CREATE VIEW arm_summary AS
WITH
proven AS (
  SELECT
    solved.scorer, solved.arm_id, solved.n, solved.c,
    CASE WHEN problem.task = solved.scorer THEN problem.solvable END AS solvable
  FROM solved JOIN problem ON problem.id = solved.problem_id
),
counts AS (
  SELECT
    scorer, arm_id, count(*) AS problems, max(n) AS draws, sum(n) AS rollouts, sum(c) AS correct,
    sum(CASE WHEN c > 0 THEN 1 ELSE 0 END) AS problems_solved,
    sum(CASE WHEN solvable = 1 THEN 1 ELSE 0 END) AS solvable, sum(CASE WHEN solvable IS NULL THEN 1 ELSE 0 END) AS unknown
  FROM proven GROUP BY scorer, arm_id
),
lengths AS (
  SELECT
    arm_id, avg(tokens) AS mean_tokens, avg(prompt_tokens) AS mean_prompt_tokens,
    sum(CASE WHEN finish = 'length' THEN 1 ELSE 0 END) AS cut_off, sum(CASE WHEN finish = 'nan' THEN 1 ELSE 0 END) AS nan
  FROM rollout GROUP BY arm_id
)
SELECT
  counts.arm_id, arm.task, model.name AS model, arm.method, arm.value, counts.problems, counts.draws, counts.rollouts,
  counts.correct, counts.problems_solved, lengths.mean_tokens, lengths.mean_prompt_tokens, lengths.cut_off, lengths.nan,
  counts.solvable, counts.unknown, arm.settings, counts.scorer
FROM counts
JOIN arm ON arm.id = counts.arm_id
JOIN model ON model.id = arm.model_id
LEFT JOIN lengths ON lengths.arm_id = counts.arm_id;

-- Every scored rollout with its text. numbers, target: of a Countdown problem, also in its payload. seed is text, since many
-- readers of numbers round those above 2^53.
CREATE VIEW rollout_text AS
SELECT
  rollout.id AS rollout_id, arm.task, model.name AS model, arm.method, arm.value, rollout.draw, problem.payload,
  json_extract(problem.payload, '$.numbers') AS numbers, trim(json_extract(problem.payload, '$.target'), '"') AS target,
  rollout.text, score.correct, score.reward, score.answer, score.ballot, score.expression, score.reason,
  rollout.arm_id, rollout.problem_id, rollout.run_id, CAST(draw.seed AS TEXT) AS seed, draw.sigma,
  rollout.tokens, rollout.prompt_tokens, rollout.finish, score.scorer
FROM rollout
JOIN score ON score.arm_id = rollout.arm_id AND score.problem_id = rollout.problem_id AND score.draw = rollout.draw
JOIN arm ON arm.id = rollout.arm_id
JOIN model ON model.id = arm.model_id
JOIN problem ON problem.id = rollout.problem_id
JOIN draw ON draw.arm_id = rollout.arm_id AND draw.number = rollout.draw;

-- Each draw over all problems of its arm; reward: the mean. In a perturbation arm a draw is one perturbed model, made from `seed`.
CREATE VIEW draw_accuracy AS
WITH counts AS (
  SELECT scorer, arm_id, draw, count(*) AS problems, sum(correct) AS correct, avg(reward) AS reward
  FROM score GROUP BY scorer, arm_id, draw
)
SELECT
  counts.arm_id, arm.task, model.name AS model, arm.method, arm.value, counts.draw, CAST(draw.seed AS TEXT) AS seed,
  counts.problems, counts.correct, 1e0 * counts.correct / counts.problems AS accuracy, counts.reward, counts.scorer
FROM counts
JOIN draw ON draw.arm_id = counts.arm_id AND draw.number = counts.draw
JOIN arm ON arm.id = counts.arm_id
JOIN model ON model.id = arm.model_id
ORDER BY counts.scorer, counts.arm_id, counts.draw;

-- cover@τ (Dragoi et al. 2025): the share of an arm's problems that at least a share τ of their draws solves (c ≥ τ·n).
-- A lucky guess among many draws does not count here, as it does in pass@k at a large k; at τ ≤ 1/n it is pass@n.
-- chance: the same of uniformly random valid answers, the probability that Binomial(n, p) ≥ τ·n, mean over the problems.
CREATE VIEW cover_at_tau AS
WITH RECURSIVE
grid(percent) AS (VALUES (1), (2), (5), (10), (20), (30), (40), (50), (60), (70), (80), (90), (100)),
cell AS (
  SELECT
    solved.scorer, solved.arm_id, solved.n, solved.c,
    CASE WHEN problem.task = solved.scorer THEN problem.chance END AS p
  FROM solved JOIN problem ON problem.id = solved.problem_id
),
pair AS (SELECT n, p, count(*) AS cells FROM cell WHERE p IS NOT NULL GROUP BY n, p),
-- Terms of the binomial distribution relative to one near its mode, upwards and downwards until they no longer count.
mode AS (
  SELECT n, p, CASE WHEN n * p < n - 1 THEN CAST(n * p AS INTEGER) ELSE n - 1 END AS c FROM pair WHERE p > 0 AND p < 1
),
upper(n, p, c, w) AS (
  SELECT n, p, c, 1e0 FROM mode
  UNION ALL
  SELECT n, p, c + 1, w * (n - c) / (c + 1) * p / (1 - p) FROM upper WHERE c < n AND w > 1e-18
),
lower(n, p, c, w) AS (
  SELECT n, p, c, 1e0 FROM mode
  UNION ALL
  SELECT n, p, c - 1, w * c / (n - c + 1) * (1 - p) / p FROM lower WHERE c > 0 AND w > 1e-18
),
term AS (SELECT n, p, c, w FROM upper UNION SELECT n, p, c, w FROM lower),
total AS (SELECT n, p, sum(w) AS w FROM term GROUP BY n, p),
tail AS (
  SELECT term.n, term.p, grid.percent, sum(term.w) AS w
  FROM term JOIN grid ON 100 * term.c >= grid.percent * term.n GROUP BY term.n, term.p, grid.percent
),
luck AS (
  SELECT
    pair.n, pair.p, grid.percent,
    CASE WHEN pair.p <= 0 THEN 0e0 WHEN pair.p >= 1 THEN 1e0 ELSE coalesce(tail.w, 0e0) / total.w END AS chance
  FROM pair
  CROSS JOIN grid
  LEFT JOIN total ON total.n = pair.n AND total.p = pair.p
  LEFT JOIN tail ON tail.n = pair.n AND tail.p = pair.p AND tail.percent = grid.percent
),
average AS (
  SELECT
    cell.scorer, cell.arm_id, grid.percent, count(*) AS problems,
    avg(CASE WHEN 100 * cell.c >= grid.percent * cell.n THEN 1e0 ELSE 0e0 END) AS cover_at_tau,
    CASE WHEN count(luck.chance) = count(*) THEN avg(luck.chance) END AS chance
  FROM cell
  CROSS JOIN grid
  LEFT JOIN luck ON luck.n = cell.n AND luck.p = cell.p AND luck.percent = grid.percent
  GROUP BY cell.scorer, cell.arm_id, grid.percent
)
SELECT
  average.arm_id, arm.task, model.name AS model, arm.method, arm.value, average.percent / 100e0 AS tau, average.problems,
  average.cover_at_tau, average.chance, average.scorer
FROM average
JOIN arm ON arm.id = average.arm_id
JOIN model ON model.id = arm.model_id
ORDER BY average.scorer, average.arm_id, average.percent;

-- Evolution strategies: a row for each trained model, NAME@ITERATION. Rollouts and tokens are those of all iterations so far,
-- rewards those of the members (perturbed models) that this one was made of: mean, and that of the best member.
CREATE VIEW training AS
WITH RECURSIVE
step(id, iteration) AS (
  SELECT id, 0 FROM model WHERE parent_id IS NULL
  UNION ALL
  SELECT model.id, step.iteration + 1 FROM step JOIN model ON model.parent_id = step.id
),
member AS (
  SELECT score.scorer, score.arm_id, score.draw, count(*) AS rollouts, avg(score.reward) AS reward, avg(score.correct * 1e0) AS accuracy
  FROM score WHERE score.arm_id IN (SELECT arm_id FROM model WHERE arm_id IS NOT NULL)
  GROUP BY score.scorer, score.arm_id, score.draw
),
made AS (
  SELECT
    scorer, arm_id, count(*) AS members, sum(rollouts) AS rollouts, avg(reward) AS mean_reward, max(reward) AS best_reward,
    avg(accuracy) AS mean_accuracy
  FROM member GROUP BY scorer, arm_id
),
length AS (
  SELECT rollout.arm_id, sum(rollout.tokens) AS tokens
  FROM rollout WHERE rollout.arm_id IN (SELECT arm_id FROM model WHERE arm_id IS NOT NULL) GROUP BY rollout.arm_id
),
spent(scorer, id, rollouts, tokens) AS (
  SELECT made.scorer, model.id, made.rollouts, length.tokens
  FROM model
  JOIN model AS root ON root.id = model.parent_id AND root.parent_id IS NULL
  JOIN made ON made.arm_id = model.arm_id
  JOIN length ON length.arm_id = model.arm_id
  UNION ALL
  SELECT spent.scorer, model.id, spent.rollouts + made.rollouts, spent.tokens + length.tokens
  FROM spent
  JOIN model ON model.parent_id = spent.id
  JOIN made ON made.arm_id = model.arm_id AND made.scorer = spent.scorer
  JOIN length ON length.arm_id = model.arm_id
)
SELECT
  model.name AS model, substr(model.name, 1, instr(model.name, '@') - 1) AS name, step.iteration, parent.name AS parent,
  spent.rollouts AS rollouts_spent, spent.tokens AS tokens_spent, made.members, made.mean_reward, made.best_reward,
  made.mean_accuracy, spent.scorer
FROM spent
JOIN model ON model.id = spent.id
JOIN step ON step.id = model.id
JOIN model AS parent ON parent.id = model.parent_id
JOIN made ON made.arm_id = model.arm_id AND made.scorer = spent.scorer
ORDER BY spent.scorer, name, step.iteration;
