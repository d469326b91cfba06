/** Every page of the desk. Each adds its routes; the order does not matter: no two share a path. */

import type { Hono } from 'hono';
import type { ConsoleEnv } from '../env.ts';
import { incidentRoutes } from './incident.tsx';
import { incidentsRoutes } from './incidents.tsx';
import { userRoutes } from './user.tsx';
import { addressRoutes, networkRoutes } from './where.tsx';

export const PAGES: readonly ((app: Hono<ConsoleEnv>) => void)[] = [
  incidentsRoutes,
  incidentRoutes,
  addressRoutes,
  networkRoutes,
  userRoutes,
];
