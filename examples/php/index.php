<?php
$bouncer = require __DIR__ . '/config.php';
session_start();
$bouncer->guard();

$name = $_SESSION['username'] ?? null;
if ($name !== null) $_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
?>
<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Example shop</title>
<?php if ($name === null): ?>
<p>Nobody is logged in. <a href="/login.php">Log in</a></p>
<?php else: ?>
<p>Logged in as <b><?= htmlspecialchars($name) ?></b>, visit <?= (int) $_SESSION['visits'] ?>.</p>
<form method="post" action="/logout.php"><button>Log out</button></form>
<?php endif ?>
</html>
