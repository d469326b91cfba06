<?php
// No session here: whoever comes has just lost one. Tells a thief nothing, and gives the owner a way back.
$bouncer = require __DIR__ . '/config.php';
$case = $bouncer->gotcha_case();
header('Cache-Control: no-store');
header("Content-Security-Policy: default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
?>
<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="robots" content="noindex"><title>You have been signed out</title>
<h1>You have been signed out</h1>
<p>This session was ended to protect the account. If it is your account, nothing is lost: please sign in again.</p>
<?php if ($case !== ''): ?><p>Case number: <b><?= $case ?></b></p><?php endif ?>
<p><a href="/login.php">Sign in again</a></p>
</html>
