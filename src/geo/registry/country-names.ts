/**
 * English country names -> ISO 3166-1 codes: ARIN's RDAP names a country only in the text of an address (RFC 7095). The names
 * are those of Unicode CLDR and of ISO 3166-1 with its inverted forms ("Korea, Republic of"), spelled as `plain` spells.
 */

import { normaliseCountry } from '../../domain/country.ts';
import type { Country } from '../../domain/types.ts';

/** `CODE name,name;...` */
const NAMES =
  'AD andorra;AE united arab emirates;AF afghanistan;AG antigua and barbuda;AI anguilla;AL albania;' +
  'AM armenia;AO angola;AQ antarctica;AR argentina;AS american samoa;AT austria;AU australia;AW aruba;' +
  'AX aland islands;AZ azerbaijan;BA bosnia and herzegovina;BB barbados;BD bangladesh;BE belgium;' +
  'BF burkina faso;BG bulgaria;BH bahrain;BI burundi;BJ benin;BL saint barthelemy;BM bermuda;' +
  'BN brunei,brunei darussalam;BO bolivia,bolivia plurinational state of,plurinational state of bolivia;' +
  'BQ caribbean netherlands,bonaire sint eustatius and saba;BR brazil;BS bahamas;BT bhutan;' +
  'BV bouvet island;BW botswana;BY belarus;BZ belize;CA canada;CC cocos keeling islands,cocos islands;' +
  'CD congo kinshasa,congo the democratic republic of the,congo democratic republic of the,democratic republic of the congo;' +
  'CF central african republic;CG congo brazzaville,congo,republic of the congo;CH switzerland;' +
  'CI cote divoire,ivory coast;CK cook islands;CL chile;CM cameroon;' +
  'CN china,peoples republic of china,p r china,pr china;CO colombia;CR costa rica;CU cuba;' +
  'CV cape verde,cabo verde;CW curacao;CX christmas island;CY cyprus;CZ czechia,czech republic;' +
  'DE germany,federal republic of germany;DJ djibouti;DK denmark;DM dominica;DO dominican republic;' +
  'DZ algeria;EC ecuador;EE estonia;EG egypt;EH western sahara;ER eritrea;ES spain;ET ethiopia;FI finland;' +
  'FJ fiji;FK falkland islands,falkland islands malvinas;' +
  'FM micronesia,micronesia federated states of,federated states of micronesia;FO faroe islands;FR france;' +
  'GA gabon;' +
  'GB united kingdom,united kingdom of great britain and northern ireland,great britain,england,scotland,wales,northern ireland;' +
  'GD grenada;GE georgia;GF french guiana;GG guernsey;GH ghana;GI gibraltar;GL greenland;' +
  'GM gambia,gambia the;GN guinea;GP guadeloupe;GQ equatorial guinea;GR greece;' +
  'GS south georgia and south sandwich islands,south georgia and the south sandwich islands;GT guatemala;' +
  'GU guam;GW guinea bissau;GY guyana;HK hong kong sar china,hong kong;' +
  'HM heard and mcdonald islands,heard island and mcdonald islands;HN honduras;HR croatia;HT haiti;' +
  'HU hungary;ID indonesia;IE ireland;IL israel;IM isle of man;IN india;IO british indian ocean territory;' +
  'IQ iraq;IR iran,iran islamic republic of,islamic republic of iran;IS iceland;IT italy;JE jersey;' +
  'JM jamaica;JO jordan;JP japan;KE kenya;KG kyrgyzstan;KH cambodia;KI kiribati;KM comoros;' +
  'KN saint kitts and nevis;' +
  'KP north korea,korea democratic peoples republic of,democratic peoples republic of korea;' +
  'KR south korea,korea republic of,republic of korea,korea;KW kuwait;KY cayman islands;KZ kazakhstan;' +
  'LA laos,lao peoples democratic republic;LB lebanon;LC saint lucia;LI liechtenstein;LK sri lanka;' +
  'LR liberia;LS lesotho;LT lithuania;LU luxembourg;LV latvia;LY libya,libyan arab jamahiriya;MA morocco;' +
  'MC monaco;MD moldova,moldova republic of,republic of moldova;ME montenegro;' +
  'MF saint martin,saint martin french part;MG madagascar;MH marshall islands;' +
  'MK north macedonia,macedonia the former yugoslav republic of,macedonia,republic of north macedonia;' +
  'ML mali;MM myanmar burma,myanmar,burma;MN mongolia;MO macao sar china,macao,macau;' +
  'MP northern mariana islands;MQ martinique;MR mauritania;MS montserrat;MT malta;MU mauritius;MV maldives;' +
  'MW malawi;MX mexico;MY malaysia;MZ mozambique;NA namibia;NC new caledonia;NE niger;NF norfolk island;' +
  'NG nigeria;NI nicaragua;NL netherlands,holland,kingdom of the netherlands;NO norway;NP nepal;NR nauru;' +
  'NU niue;NZ new zealand;OM oman;PA panama;PE peru;PF french polynesia;PG papua new guinea;PH philippines;' +
  'PK pakistan;PL poland;PM saint pierre and miquelon;PN pitcairn islands,pitcairn;PR puerto rico;' +
  'PS palestinian territories,palestine state of,state of palestine,palestinian territory occupied,palestine;' +
  'PT portugal;PW palau;PY paraguay;QA qatar;RE reunion;RO romania;RS serbia;RU russia,russian federation;' +
  'RW rwanda;SA saudi arabia;SB solomon islands;SC seychelles;SD sudan;SE sweden;SG singapore;' +
  'SH saint helena,saint helena ascension and tristan da cunha;SI slovenia;SJ svalbard and jan mayen;' +
  'SK slovakia;SL sierra leone;SM san marino;SN senegal;SO somalia;SR suriname;SS south sudan;' +
  'ST sao tome and principe;SV el salvador;SX sint maarten,sint maarten dutch part;' +
  'SY syria,syrian arab republic;SZ eswatini,swaziland;TC turks and caicos islands;TD chad;' +
  'TF french southern territories;TG togo;TH thailand;TJ tajikistan;TK tokelau;TL timor leste,east timor;' +
  'TM turkmenistan;TN tunisia;TO tonga;TR turkiye,turkey;TT trinidad and tobago;TV tuvalu;' +
  'TW taiwan,taiwan province of china;TZ tanzania,tanzania united republic of,united republic of tanzania;' +
  'UA ukraine;UG uganda;UM u s outlying islands,united states minor outlying islands;' +
  'US united states,united states of america,usa,u s a;UY uruguay;UZ uzbekistan;' +
  'VA vatican city,holy see,holy see vatican city state,vatican city state;VC saint vincent and grenadines;' +
  'VE venezuela,venezuela bolivarian republic of,bolivarian republic of venezuela;' +
  'VG british virgin islands,virgin islands british;' +
  'VI u s virgin islands,virgin islands u s,us virgin islands,virgin islands us;VN vietnam,viet nam;' +
  'VU vanuatu;WF wallis and futuna;WS samoa;YE yemen;YT mayotte;ZA south africa;ZM zambia;ZW zimbabwe;' +
  'XK kosovo;';

const CODES: ReadonlyMap<string, Country> = new Map(
  NAMES.split(';').flatMap((entry) =>
    entry
      .slice(3)
      .split(',')
      .filter((name) => name !== '')
      .map((name): [string, Country] => [name, entry.slice(0, 2)]),
  ),
);

/** No country's name is longer. */
const MAX_LENGTH = 64;

/** Small letters and single blanks only; accents, punctuation and a leading "the" go. */
function plain(text: string): string {
  return text
    .replace(/[’']/g, '')
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/&/g, ' and ')
    .replace(/[^a-z]+/g, ' ')
    .trim()
    .replace(/^the /, '')
    .replace(/\bst\b/g, 'saint');
}

/** The code of a name, or of a code written in its place; null for any other text. */
export function countryNamed(text: string): Country | null {
  const trimmed = text.trim();
  if (trimmed.length > MAX_LENGTH) return null;
  if (trimmed.length === 2) return normaliseCountry(trimmed).country ?? null;
  return CODES.get(plain(trimmed)) ?? null;
}
