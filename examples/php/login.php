<?php
$bouncer = require __DIR__ . '/config.php';
session_start();

$name = $_POST['username'] ?? '';
// A real site looks the user up and calls password_verify(), counts failures, and has a token in its forms.
$good = is_string($name) && $name !== '' && ($_POST['password'] ?? '') === 'demo';
if ($good) {
    $_SESSION['username'] = $name;
    $bouncer->report_login($name);
    header('Location: /index.php', true, 303);
    exit;
}
if ($_SERVER['REQUEST_METHOD'] === 'POST') http_response_code(401);
?>
<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Log in</title>
<form method="post">
<label>Name <input name="username" autocomplete="username" required></label>
<label>Password (it is "demo") <input name="password" type="password" autocomplete="current-password" required></label>
<button>Log in</button>
</form>
</html>
