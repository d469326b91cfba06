/** Every page of the desk. Each adds its routes; the order does not matter: no two share a path. */

import type { Hono } from 'hono';
import type { ConsoleEnv } from '../env.ts';
import { auditRoutes } from './audit.tsx';
import { exportRoutes } from './exports.tsx';
import { incidentRoutes } from './incident.tsx';
import { incidentsRoutes } from './incidents.tsx';
import { listsRoutes } from './lists.tsx';
import { notificationsRoutes } from './notifications.tsx';
import { overviewRoutes } from './overview.tsx';
import { privacyRoutes } from './privacy.tsx';
import { userRoutes } from './user.tsx';
import { addressRoutes, networkRoutes } from './where.tsx';

export const PAGES: readonly ((app: Hono<ConsoleEnv>) => void)[] = [
  overviewRoutes,
  incidentsRoutes,
  exportRoutes,
  incidentRoutes,
  addressRoutes,
  networkRoutes,
  userRoutes,
  listsRoutes,
  notificationsRoutes,
  privacyRoutes,
  auditRoutes,
];
