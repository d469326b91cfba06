import type { Redis } from 'ioredis';
import { type Keys, userTag } from './keys.ts';
import { loadScript, runScript } from './script.ts';

const question = loadScript('question-1');

const DAY_MS = 86_400_000;

/** A mail that asked its user about a case. */
export interface Question {
  readonly caseId: string;
  /** The countries that it named, `,` between them; empty where there was none. */
  readonly place: string;
}

/** Which mails "Was this you?" a user was sent lately. Each may throw when Redis is away. */
export interface Questions {
  /** Those of the time that questions are kept. */
  asked(userId: string, nowMs: number): Promise<Question[]>;
  /** Notes it, unless this user has had `most` in a day. Atomic and idempotent per question. */
  claim(userId: string, question: Question, most: number, nowMs: number): Promise<boolean>;
}

export function redisQuestions(redis: Redis, keys: Keys, keptMs: number): Questions {
  const keepMs = Math.max(keptMs, DAY_MS);
  return {
    async asked(userId, nowMs) {
      const members = await redis.zrangebyscore(keys.questions(userTag(userId)), `(${nowMs - keepMs}`, '+inf');
      return members.map((member) => {
        const [caseId = '', place = ''] = member.split(' ');
        return { caseId, place };
      });
    },
    async claim(userId, { caseId, place }, most, nowMs) {
      const args = [nowMs, DAY_MS, most, keepMs, `${caseId} ${place}`].map(String);
      return (await runScript(redis, question, [keys.questions(userTag(userId))], args)) === 1;
    },
  };
}
