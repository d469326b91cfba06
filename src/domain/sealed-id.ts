/** A sealed session id of a PHP site: `v1.<key id>.<iv>.<text and tag>`. Whether it opens, only php/seal can tell. */
export const SEALED_ID = /^v1\.([\w-]{1,32})\.([\w-]{16})\.([\w-]{22,600})$/;
