/** Where the login form lets one log in from. */
export interface City {
  /** As the form posts it. */
  readonly id: string;
  readonly name: string;
  /** Two letters; null where nobody can tell. */
  readonly country: string | null;
  /**
   * An address of a large access network of that country, on which both databases that npm ships agree (a test checks
   * that). The databases tell countries only: which city it is, is the demo's word.
   */
  readonly address: string;
  /** What is special about it. */
  readonly note?: string;
}

export const CITIES: readonly City[] = [
  { id: 'london', name: 'London', country: 'GB', address: '81.2.69.142' },
  { id: 'paris', name: 'Paris', country: 'FR', address: '90.63.120.5' },
  { id: 'berlin', name: 'Berlin', country: 'DE', address: '91.64.30.12' },
  { id: 'madrid', name: 'Madrid', country: 'ES', address: '81.32.50.20' },
  { id: 'stockholm', name: 'Stockholm', country: 'SE', address: '90.224.60.12' },
  { id: 'new-york', name: 'New York', country: 'US', address: '72.229.28.185' },
  { id: 'sao-paulo', name: 'São Paulo', country: 'BR', address: '177.33.20.10' },
  { id: 'lagos', name: 'Lagos', country: 'NG', address: '102.89.34.7' },
  { id: 'nairobi', name: 'Nairobi', country: 'KE', address: '105.160.20.9' },
  { id: 'mumbai', name: 'Mumbai', country: 'IN', address: '49.36.80.11' },
  { id: 'tokyo', name: 'Tokyo', country: 'JP', address: '126.72.10.20' },
  { id: 'sydney', name: 'Sydney', country: 'AU', address: '1.128.96.12' },
];

/** The cases in between: each must leave the session alone. */
export const SPECIAL_PLACES: readonly City[] = [
  {
    id: 'london-cafe',
    name: 'London, a café',
    country: 'GB',
    address: '86.140.12.34',
    note: 'another network, the same country',
  },
  {
    id: 'cloud',
    name: 'A cloud exit',
    country: null,
    address: '146.75.52.10',
    note: 'the databases disagree: flagged, not ended',
  },
  {
    id: 'office',
    name: 'Office VPN',
    country: null,
    address: '10.0.0.7',
    note: 'a private address: never suspicious',
  },
];

const ALL = [...CITIES, ...SPECIAL_PLACES];
const byId = new Map(ALL.map((city) => [city.id, city]));
const byAddress = new Map(ALL.map((city) => [city.address, city]));

export function cityById(id: string | null | undefined): City | undefined {
  return byId.get(id ?? '');
}

export function cityByAddress(address: string | null): City | undefined {
  return byAddress.get(address ?? '');
}
