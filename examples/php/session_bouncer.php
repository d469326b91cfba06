<?php
/**
 * session-bouncer for PHP sessions that phpredis keeps in Redis. One file to copy; PHP 7.4 or newer, ext-redis,
 * ext-openssl. docs/php.md says what it protects and what not. After session_start():
 *
 *     $bouncer = new SessionBouncer(['secret' => 'whsec_...', 'keys' => ['k1' => '<32 bytes in base64>'], 'redis' => ...]);
 *     $bouncer->guard();                 // every page but those for logging in and out, and the gotcha page
 *     $bouncer->report_login($userId);   // where somebody has just logged in
 */
final class SessionBouncer {
    private const DEFAULTS = [
        'redis' => null,           // function that returns a connected Redis: the worker's redisUrl
        'prefix' => 'bouncer',     // the worker's prefix
        'field' => 'username',     // the worker's phpField: what in $_SESSION says who is logged in
        'keys' => [],              // the worker's phpKeys: name => 32 bytes in base64; the first one seals
        'secret' => '', 'ingest' => 'http://127.0.0.1:8990', // of "session-bouncer ingest"
        'timeout' => 0.25,         // seconds that the ingest may take to be connected, and to answer
        'gotcha' => '/gotcha.php', // where the holder of an ended session is sent; a path or URL without a query
        'proxies' => 0,            // how many proxies of your own each add an address to X-Forwarded-For
        'ttl' => 30 * 86400,       // seconds that the ids of a login are known after its last guarded request
    ];
    private const OWN = ['bouncer_lid' => 1, 'bouncer_at' => 1, 'bouncer_id' => 1];
    private array $options;
    private ?Redis $redis = null;
    private ?array $own = null; // what of OWN was in this request's session; null: not looked yet

    public function __construct(array $options) {
        $this->options = $options + self::DEFAULTS;
        $key = base64_decode((string) reset($this->options['keys']), true);
        if (strncmp($this->options['secret'], 'whsec_', 6) || !is_callable($this->options['redis']) || strlen((string) $key) !== 32)
            throw new InvalidArgumentException('session-bouncer: give secret (whsec_...), redis (a function) and keys (32 bytes)');
    }

    /** Somebody has logged in: a new session id, and the worker hears of it. Never throws; false: it could not be told. */
    public function report_login($userId): bool {
        try {
            @session_regenerate_id(true);
            if (session_status() !== PHP_SESSION_ACTIVE) return $this->failed('report_login() needs a session');
            $lid = substr($this->hash((string) $userId), 0, 16) . $this->base64url(random_bytes(16));
            $at = (int) (microtime(true) * 1000);
            $_SESSION = ['bouncer_lid' => $lid, 'bouncer_at' => $at] + array_diff_key($_SESSION, self::OWN);
            $this->mark();
            return $this->post('/v1/logins', "login-$lid", ['userId' => (string) $userId, 'lid' => $lid, 'loginAt' => $at,
                'handle' => $this->hash(session_id()), 'php' => $this->seal(session_id(), $lid)]);
        } catch (Throwable $error) { return $this->failed(get_class($error)); }
    }

    /** Lets the request go on; if its login has ended, answers it and exits. Redis away: it goes on. */
    public function guard(): void {
        if (($mark = $this->mark()) === null) return;
        if (($mark['reason'] ?? '') === 'forced_logout') { // no thief: plain logged out, in a new anonymous session
            $_SESSION = $this->own = [];
            @session_regenerate_id(true);
            return;
        }
        $_SESSION = $this->stub();
        session_write_close();
        $this->visit($mark['caseId'], 'refused');
        $cookie = session_get_cookie_params(); // by hand: setcookie() would send the id "deleted", which others share
        header('Set-Cookie: ' . session_name() . '=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=' . $cookie['path']
            . ($cookie['domain'] ? '; Domain=' . $cookie['domain'] : '') . ($cookie['secure'] ? '; Secure' : '')
            . ($cookie['httponly'] ? '; HttpOnly' : '') . ($cookie['samesite'] ? '; SameSite=' . $cookie['samesite'] : ''), false);
        header('Cache-Control: no-store');
        $page = stripos($_SERVER['HTTP_ACCEPT'] ?? '', 'text/html') !== false && empty($_SERVER['HTTP_X_REQUESTED_WITH']);
        if ($page) header("Location: {$this->options['gotcha']}?case=" . rawurlencode($mark['caseId']), true, 303);
        else header('Content-Type: application/json', true, 401);
        exit($page ? '' : '{"code":"session_ended"}');
    }

    /** For the gotcha page: the case number that it was opened with, or ''. The worker hears of the visit. */
    public function gotcha_case(): string {
        $case = $_GET['case'] ?? '';
        if (!is_string($case) || !preg_match('/^[0-9A-Z]{4}(-[0-9A-Z]{4}){2}$/D', $case)) return '';
        $this->visit($case, 'gotcha');
        return $case;
    }

    /** @internal Before PHP writes the session: it may have a new id, or its login may have ended meanwhile. */
    public function finish(): void {
        $active = session_status() === PHP_SESSION_ACTIVE;
        // An app that copies only what it knows into a fresh session has still the same login.
        if ($active && isset($_SESSION[$this->options['field']])) $_SESSION += $this->own;
        if (!$active && ($_SESSION['bouncer_id'] ?? '') === $this->hash((string) session_id())) return; // saved before
        if ($this->mark() !== null && $active) $_SESSION = $this->stub();
    }

    /** Enrols a new id under its login FIRST, then reads whether the login has ended. Only then may the id be saved. */
    private function mark(): ?array {
        if ($this->own === null) register_shutdown_function([$this, 'finish']);
        $this->own = $this->own ?? [];
        $lid = $_SESSION['bouncer_lid'] ?? null;
        if (!is_string($lid) || !preg_match('/^[\w-]{38}$/D', $lid) || (string) session_id() === '') return null;
        [$prefix, $tag, $handle] = [$this->options['prefix'], '{' . substr($lid, 0, 16) . '}', $this->hash(session_id())];
        $ids = "$prefix:php-ids:$tag:$lid";
        try {
            $pipe = ($this->redis = $this->redis ?? $this->options['redis']())->multi(Redis::PIPELINE);
            if (($_SESSION['bouncer_id'] ?? '') !== $handle) $pipe->hSet($ids, $handle, $this->seal(session_id(), $lid));
            $pipe->expire($ids, $this->options['ttl']);
            $pipe->mGet(["$prefix:login-end:$tag:$lid", "$prefix:epoch:$tag"]);
            $replies = (array) $pipe->exec();
            [$mark, $epoch] = end($replies);
        } catch (Throwable $error) {
            $this->redis = null;
            $this->failed(get_class($error));
            return null;
        }
        $_SESSION['bouncer_id'] = $replies[0] === false ? '' : $handle; // not enrolled, or Redis forgot: again next time
        $this->own = array_intersect_key($_SESSION, self::OWN);
        $mark = is_string($mark) ? json_decode($mark, true) : null;
        if (isset($mark['caseId']) && !isset($mark['liftedAtMs'])) return $mark;
        // An epoch ends each login of the user's until then.
        return is_string($epoch) && ($_SESSION['bouncer_at'] ?? 0) <= (int) $epoch ? ['reason' => 'forced_logout'] : null;
    }

    /** What stays of an ended session: nobody is logged in, and whoever brings its id again is known. */
    private function stub(): array { return $this->own + [$this->options['field'] => null]; }
    private function visit(string $case, string $kind): void {
        $path = substr(strtok($_SERVER['REQUEST_URI'] ?? '', '?') ?: '/', 0, 256); // the query may hold secrets
        $seen = ['method' => $_SERVER['REQUEST_METHOD'] ?? '', 'path' => $path];
        $this->post('/v1/visits', 'visit-' . bin2hex(random_bytes(16)), ['case' => $case, 'kind' => $kind] + $seen);
    }
    /** Signed as Standard Webhooks say. */
    private function post(string $path, string $id, array $data): bool {
        $hops = array_reverse(explode(',', ($_SERVER['HTTP_X_FORWARDED_FOR'] ?? '') . ',' . ($_SERVER['REMOTE_ADDR'] ?? '')));
        $address = trim($hops[$this->options['proxies']] ?? '');
        $agent = substr($_SERVER['HTTP_USER_AGENT'] ?? '', 0, 512); // a larger body would be refused
        $data += ['address' => filter_var($address, FILTER_VALIDATE_IP) ?: null, 'userAgent' => $agent];
        $text = json_encode($data, JSON_INVALID_UTF8_SUBSTITUTE);
        [$at, $key] = [time(), base64_decode(substr($this->options['secret'], 6))];
        $sign = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$at.$text", $key, true));
        $headers = ['Content-Type: application/json', "webhook-id: $id", "webhook-timestamp: $at", "webhook-signature: $sign"];
        $http = ['method' => 'POST', 'header' => $headers, 'content' => $text, 'ignore_errors' => true, 'follow_location' => 0];
        $context = stream_context_create(['http' => $http + ['timeout' => $this->options['timeout']]]);
        $answer = @fopen($this->options['ingest'] . $path, 'r', false, $context);
        $status = $answer ? substr(stream_get_meta_data($answer)['wrapper_data'][0] ?? '', 9, 3) : 'nothing';
        return $status === '202' || $this->failed("the ingest answered $status");
    }
    /** Opened with the worker's phpKeys, for this login only. */
    private function seal(string $id, string $lid): string {
        [$name, $iv] = [array_key_first($this->options['keys']), random_bytes(12)];
        $key = base64_decode($this->options['keys'][$name]);
        $text = openssl_encrypt($id, 'aes-256-gcm', $key, OPENSSL_RAW_DATA, $iv, $tag, $lid);
        return "v1.$name." . $this->base64url($iv) . '.' . $this->base64url($text . $tag);
    }

    private function hash(string $text): string { return $this->base64url(hash('sha256', $text, true)); }
    private function base64url(string $bytes): string { return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '='); }
    private function failed(string $why): bool { error_log("session-bouncer: $why"); return false; } // never into the page
}
