-- The views that users and `esprobe report` read: plain SQL for any SQLite client.
-- Dropped before and created anew after every migration, so each stands here once. A change here needs a new revision.

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
cell AS MATERIALIZED (SELECT * FROM solved),
depth AS (SELECT scorer, arm_id, max(n) AS most FROM cell GROUP BY scorer, arm_id),
power(k) AS (SELECT 1 UNION ALL SELECT 2 * k FROM power WHERE 2 * k <= (SELECT max(most) FROM depth)),
wanted AS (
  SELECT scorer, arm_id, k FROM depth JOIN power ON k <= most
  UNION
  SELECT scorer, arm_id, most FROM depth
),
-- C(n−c, k) / C(n, k) is the product over i < c of (n−k−i) / (n−i): one step a correct draw, for every n and k that occur.
size AS (SELECT n, max(c) AS c FROM cell GROUP BY n),
miss(n, k, c, most, q) AS (
  SELECT n, k, 0, size.c, 1.0 FROM size JOIN (SELECT DISTINCT k FROM wanted) ON k <= n
  UNION ALL
  SELECT n, k, c + 1, most, q * (n - k - c) / (n - c) FROM miss WHERE c < most AND c < n - k
),
-- (1 − p)^k by repeated squaring.
rate AS (SELECT DISTINCT chance AS p FROM problem WHERE chance IS NOT NULL),
odds(p, k, rest, base, q) AS (
  SELECT p, k, k, 1.0 - p, 1.0 FROM rate JOIN (SELECT DISTINCT k FROM wanted)
  UNION ALL
  SELECT p, k, rest / 2, base * base, CASE WHEN rest % 2 THEN q * base ELSE q END FROM odds WHERE rest > 0
),
each AS MATERIALIZED (
  SELECT
    cell.scorer, cell.arm_id, wanted.k,
    1.0 - coalesce(miss.q, 0.0) AS x,  -- no row: fewer than k wrong draws, so k draws always hold a correct one
    1.0 - odds.q AS chance
  FROM cell
  JOIN wanted ON wanted.scorer = cell.scorer AND wanted.arm_id = cell.arm_id AND wanted.k <= cell.n
  JOIN problem ON problem.id = cell.problem_id
  LEFT JOIN miss ON miss.n = cell.n AND miss.k = wanted.k AND miss.c = cell.c
  LEFT JOIN odds ON odds.p = problem.chance AND odds.k = wanted.k AND odds.rest = 0
),
average AS MATERIALIZED (
  SELECT
    scorer, arm_id, k, count(*) AS problems, avg(x) AS mean,
    CASE WHEN count(chance) = count(*) THEN avg(chance) END AS chance
  FROM each GROUP BY scorer, arm_id, k
),
spread AS MATERIALIZED (
  SELECT
    each.scorer, each.arm_id, each.k,
    sum((x - mean) * (x - mean)) / nullif(problems * (problems - 1), 0) AS variance
  FROM each JOIN average USING (scorer, arm_id, k)
  GROUP BY each.scorer, each.arm_id, each.k
),
-- Square root by Newton's iteration, since not every SQLite has sqrt().
newton(variance, step, root) AS (
  SELECT DISTINCT variance, 0, 0.5 FROM spread WHERE variance > 0
  UNION ALL
  SELECT variance, step + 1, (root + variance / root) / 2 FROM newton WHERE step < 48
)
SELECT
  average.arm_id, model.name AS model, arm.method, arm.value, average.k, average.problems,
  average.mean AS pass_at_k,
  CASE WHEN spread.variance = 0 THEN 0.0 ELSE newton.root END AS stderr,
  average.chance, average.scorer
FROM average
JOIN spread USING (scorer, arm_id, k)
LEFT JOIN newton ON newton.variance = spread.variance AND newton.step = 48
JOIN arm ON arm.id = average.arm_id
JOIN model ON model.id = arm.model_id
ORDER BY average.scorer, average.arm_id, average.k;

-- One row an arm. draws: the most that any problem has. solvable: problems not proven unsolvable. settings: JSON.
CREATE VIEW arm_summary AS
WITH
counts AS (
  SELECT
    scorer, arm_id, count(*) AS problems, max(n) AS draws, sum(n) AS rollouts, sum(c) AS correct,
    sum(c > 0) AS problems_solved, sum(coalesce(problem.solvable, 1)) AS solvable
  FROM solved JOIN problem ON problem.id = problem_id
  GROUP BY scorer, arm_id
),
lengths AS (SELECT arm_id, avg(tokens) AS mean_tokens FROM rollout GROUP BY arm_id)
SELECT
  counts.arm_id, model.name AS model, arm.method, arm.value, counts.problems, counts.draws, counts.rollouts, counts.correct,
  counts.problems_solved, lengths.mean_tokens, counts.solvable, arm.settings, counts.scorer
FROM counts
JOIN arm ON arm.id = counts.arm_id
JOIN model ON model.id = arm.model_id
LEFT JOIN lengths ON lengths.arm_id = counts.arm_id;

-- Every scored rollout with its text.
CREATE VIEW rollout_text AS
SELECT
  rollout.id AS rollout_id, model.name AS model, arm.method, arm.value, rollout.draw,
  json_extract(problem.payload, '$.numbers') AS numbers, json_extract(problem.payload, '$.target') AS target,
  rollout.text, score.correct, score.answer, score.reason,
  rollout.arm_id, rollout.problem_id, rollout.run_id, draw.seed, rollout.tokens, rollout.finish, score.format_reward, score.scorer
FROM rollout
JOIN score ON score.arm_id = rollout.arm_id AND score.problem_id = rollout.problem_id AND score.draw = rollout.draw
JOIN arm ON arm.id = rollout.arm_id
JOIN model ON model.id = arm.model_id
JOIN problem ON problem.id = rollout.problem_id
JOIN draw ON draw.arm_id = rollout.arm_id AND draw.number = rollout.draw;

-- Each draw over all problems of its arm. In a perturbation arm a draw is one perturbed model, made from `seed`.
CREATE VIEW draw_accuracy AS
WITH counts AS (
  SELECT scorer, arm_id, draw, count(*) AS problems, sum(correct) AS correct FROM score GROUP BY scorer, arm_id, draw
)
SELECT
  counts.arm_id, model.name AS model, arm.method, arm.value, counts.draw, draw.seed, counts.problems, counts.correct,
  1.0 * counts.correct / counts.problems AS accuracy, counts.scorer
FROM counts
JOIN draw ON draw.arm_id = counts.arm_id AND draw.number = counts.draw
JOIN arm ON arm.id = counts.arm_id
JOIN model ON model.id = arm.model_id
ORDER BY counts.scorer, counts.arm_id, counts.draw;

-- cover@τ (Dragoi et al. 2025): the share of an arm's problems that at least a share τ of their draws solves (c ≥ τ·n).
-- A lucky guess among many draws does not count here, as it does in pass@k at a large k.
CREATE VIEW cover_at_tau AS
WITH
grid(percent) AS (VALUES (1), (2), (5), (10), (20), (30), (40), (50), (60), (70), (80), (90), (100)),
cell AS MATERIALIZED (SELECT * FROM solved)
SELECT
  cell.arm_id, model.name AS model, arm.method, arm.value, grid.percent / 100.0 AS tau, count(*) AS problems,
  avg(100 * cell.c >= grid.percent * cell.n) AS cover_at_tau, cell.scorer
FROM cell
JOIN grid
JOIN arm ON arm.id = cell.arm_id
JOIN model ON model.id = arm.model_id
GROUP BY cell.scorer, cell.arm_id, grid.percent
ORDER BY cell.scorer, cell.arm_id, grid.percent;
