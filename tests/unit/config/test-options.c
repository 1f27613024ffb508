/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Config strings: every refusal names the mistake exactly, because a user of targetcli sees no
 * other text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/options.h"

static const char *const modes[] = {"slow", "fast", NULL};

enum {
	DIRECT,
	DEPTH,
	CHUNK,
	CONF,
	MODE,
};

static const struct tcmu_option table[] = {
	[DIRECT] = {"direct", TCMU_OPTION_BOOL, "no", NULL, "bypass the page cache"},
	[DEPTH] = {"depth", TCMU_OPTION_UINT, "7", NULL, "requests at once"},
	[CHUNK] = {"chunk", TCMU_OPTION_SIZE, "1M", NULL, "piece"},
	[CONF] = {"conf", TCMU_OPTION_STRING, NULL, NULL, "configuration file"},
	[MODE] = {"mode", TCMU_OPTION_CHOICE, "fast", modes, "how fast"},
	{NULL},
};

static const struct tcmu_handler handler = {
	.subtype = "file", .config_desc = "The file's path.", .options = table};
static const struct tcmu_handler plain = {.subtype = "null"};

static struct options *options;
static struct tcmu_reason reason;

static const struct tcmu_config *parse_config(const char *text)
{
	options_free(options);
	options = NULL;
	reason.text[0] = '\0';
	if (options_parse(text, &handler, &options, &reason) < 0)
		fail_msg("\"%s\" is refused: %s", text, reason.text);
	return options_config(options);
}

static void assert_refused(const char *text, int error, const char *why)
{
	struct options *none = NULL;
	int r = options_parse(text, &handler, &none, &reason);

	if (r != error || strcmp(reason.text, why) != 0 || none)
		fail_msg("\"%s\": %d, %s", text, r, reason.text);
}

static int teardown(void **state)
{
	(void) state;
	options_free(options);
	options = NULL;
	return 0;
}

static void a_string_is_subtype_and_target(void **state)
{
	const struct tcmu_config *config = parse_config("file//srv/disk.img");

	(void) state;
	assert_string_equal(config->subtype, "file");
	assert_string_equal(config->target, "/srv/disk.img");
	assert_false(config->read_only);
	assert_int_equal(config->size, 0);
	assert_int_equal(config->block_size, 0);
	assert_string_equal(parse_config("file/")->target, "");
	assert_string_equal(parse_config("file/a/b/c")->target, "a/b/c");
}

static void options_that_are_not_given_have_their_defaults(void **state)
{
	const struct tcmu_config *config = parse_config("file//x");

	(void) state;
	for (int i = DIRECT; i <= MODE; i++)
		assert_false(config->values[i].given);
	assert_int_equal(config->values[DIRECT].number, 0);
	assert_int_equal(config->values[DEPTH].number, 7);
	assert_int_equal(config->values[CHUNK].number, 1 << 20);
	assert_null(config->values[CONF].string);
	assert_int_equal(config->values[MODE].number, 1);
	assert_string_equal(options_vendor(options), "LIO-ORG");
	assert_string_equal(options_product(options), "TCMU device");
	assert_string_equal(options_revision(options), "0002");
	assert_int_equal(options_command_timeout(options), 30);
}

static void options_of_every_type_are_decoded(void **state)
{
	const struct tcmu_config *config = parse_config(
		"file//x;direct=on;depth=12;chunk=3k;conf=/etc/c=d;mode=slow");

	(void) state;
	for (int i = DIRECT; i <= MODE; i++)
		assert_true(config->values[i].given);
	assert_int_equal(config->values[DIRECT].number, 1);
	assert_int_equal(config->values[DEPTH].number, 12);
	assert_int_equal(config->values[CHUNK].number, 3072);
	assert_string_equal(config->values[CONF].string, "/etc/c=d");
	assert_int_equal(config->values[MODE].number, 0);
}

static void a_boolean_has_many_spellings(void **state)
{
	static const struct {
		const char *text;
		unsigned value;
	} words[] = {{";direct", 1},    {";direct=1", 1},    {";direct=yes", 1},
		     {";direct=on", 1}, {";direct=true", 1}, {";direct=0", 0},
		     {";direct=no", 0}, {";direct=off", 0},  {";direct=false", 0}};
	char text[64];

	(void) state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		(void) snprintf(text, sizeof(text), "file//x%s", words[i].text);
		assert_int_equal(parse_config(text)->values[DIRECT].number, words[i].value);
	}
}

static void sizes_have_units(void **state)
{
	(void) state;
	assert_int_equal(parse_config("file//x;chunk=0")->values[CHUNK].number, 0);
	assert_int_equal(parse_config("file//x;chunk=5M")->values[CHUNK].number, 5u << 20);
	assert_int_equal(parse_config("file//x;chunk=2g")->values[CHUNK].number, UINT64_C(2) << 30);
	assert_int_equal(parse_config("file//x;chunk=1T")->values[CHUNK].number, UINT64_C(1) << 40);
	assert_int_equal(
		parse_config("file//x;chunk=18446744073709551615")->values[CHUNK].number,
		UINT64_MAX);
	assert_refused(
		"file//x;chunk=18446744073709551616", -EINVAL,
		"the option \"chunk\" is \"18446744073709551616\": expected BYTES[K|M|G|T]");
	assert_refused(
		"file//x;chunk=16777216T", -EINVAL,
		"the option \"chunk\" is \"16777216T\": expected BYTES[K|M|G|T]");
	assert_refused(
		"file//x;chunk=1KB", -EINVAL,
		"the option \"chunk\" is \"1KB\": expected BYTES[K|M|G|T]");
	assert_refused(
		"file//x;chunk=K", -EINVAL,
		"the option \"chunk\" is \"K\": expected BYTES[K|M|G|T]");
}

static void the_daemon_has_options_for_every_device(void **state)
{
	(void) state;
	assert_true(parse_config("file//x;ro")->read_only);
	assert_false(parse_config("file//x;ro=no")->read_only);
	(void) parse_config("file//x;share=1");
	assert_true(options_share(options));
	(void) parse_config("file//x");
	assert_false(options_share(options));
	assert_false(options_sanitize(options) || options_neutral_designator(options));
	(void) parse_config("file//x;sanitize=1;designator=serial");
	assert_true(options_sanitize(options) && options_neutral_designator(options));
	(void) parse_config("file//x;designator=config");
	assert_false(options_neutral_designator(options));
	(void) parse_config("file//x;vendor=ACME;product=Disk;revision=9");
	assert_string_equal(options_vendor(options), "ACME");
	assert_string_equal(options_product(options), "Disk");
	assert_string_equal(options_revision(options), "9");
}

static void every_device_can_have_limits(void **state)
{
	struct rate_limits limits;

	(void) state;
	(void) parse_config("file//x");
	options_limits(options, &limits);
	assert_true(limits.iops == 0 && limits.bps == 0 && limits.burst == 0);
	(void) parse_config("file//x;iops=500;bps=20M;burst=3");
	options_limits(options, &limits);
	assert_true(limits.iops == 500 && limits.bps == 20 << 20 && limits.burst == 3);
	assert_refused(
		"file//x;iops=fast", -EINVAL, "the option \"iops\" is \"fast\": expected NUMBER");
}

static void changed_limits_do_not_make_another_device(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} pairs[] = {
		{"file//x", "file//x", true},
		{"file//x", "file//x;iops=5", true},
		{"file//x;iops=5;direct=1", "file//x;direct=1;bps=4M;burst=9", true},
		{"file//x;iops=5;direct=1;bps=7", "file//x;direct=1", true},
		{"file//x;iops=5", "file//x;iops", true},
		{"file//x", "file//y", false},
		{"file//x;iops=5", "file//y;iops=5", false},
		{"file//x;direct=1", "file//x", false},
		{"file//x;direct=1;iops=5", "file//x;iops=5", false},
		{"file//x;direct=1", "file//x;direct=0", false},
		{"file//x", "file//x;iopsy=5", false},
		{"file//x", "file//xx", false},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		assert_int_equal(
			options_differ_in_limits_only(pairs[i].a, pairs[i].b), pairs[i].same);
		assert_int_equal(
			options_differ_in_limits_only(pairs[i].b, pairs[i].a), pairs[i].same);
	}
}

static void inquiry_strings_fit_their_fields(void **state)
{
	(void) state;
	(void) parse_config("file//x;vendor=12345678;product=1234567890123456;revision=1234");
	assert_refused(
		"file//x;vendor=123456789", -EINVAL,
		"the option \"vendor\" is longer than 8 characters");
	assert_refused(
		"file//x;product=12345678901234567", -EINVAL,
		"the option \"product\" is longer than 16 characters");
	assert_refused(
		"file//x;revision=12345", -EINVAL,
		"the option \"revision\" is longer than 4 characters");
	assert_refused(
		"file//x;vendor=\xc3\xa4", -EINVAL,
		"the option \"vendor\" has a character that is not printable ASCII");
}

/* Config strings in configurations that tcmu-runner users have saved must still open. */
static void the_time_limit_of_tcmu_runner_is_understood(void **state)
{
	(void) state;
	(void) parse_config("file//x;tcmur_cmd_time_out=30");
	assert_int_equal(options_command_timeout(options), 30);
	(void) parse_config("file//x;tcmur_cmd_time_out=30;direct=1");
	assert_int_equal(options_command_timeout(options), 30);
	(void) parse_config("file//x;tcmur_cmd_time_out=99999999999");
	assert_int_equal(options_command_timeout(options), UINT32_MAX);
	(void) parse_config("file//x;tcmur_cmd_timeout=20");
	assert_int_equal(options_command_timeout(options), 20);
	(void) parse_config("file//x;tcmur_cmd_time_out=0");
	assert_int_equal(options_command_timeout(options), 0);
	assert_refused(
		"file//x;tcmur_cmd_time_out=soon", -EINVAL,
		"the option \"tcmur_cmd_time_out\" is \"soon\": expected NUMBER");
}

static const struct tcmu_handler uri = {
	.subtype = "uri", .options = table, .flags = TCMU_HANDLER_ESCAPED_CONFIG};
static const struct tcmu_handler raw = {.subtype = "raw", .flags = TCMU_HANDLER_RAW_CONFIG};

static const struct tcmu_config *parse_for(const struct tcmu_handler *other, const char *text)
{
	options_free(options);
	options = NULL;
	if (options_parse(text, other, &options, &reason) < 0)
		fail_msg("\"%s\" is refused: %s", text, reason.text);
	return options_config(options);
}

static void a_string_may_be_percent_encoded(void **state)
{
	static const struct {
		const struct tcmu_handler *handler;
		const char *text, *target, *conf;
	} strings[] = {
		/* Without the option, as ever. */
		{&handler, "file//a%2Cb%;conf=%20", "/a%2Cb%", "%20"},
		{&handler, "file//a%2Cb;escaped=no;conf=%20", "/a%2Cb", "%20"},
		{&handler, "file//a%2Cb%3b;conf=x%20y%3A;escaped", "/a,b;", "x y:"},
		{&handler, "file//%25;escaped=1;conf=%2525", "/%", "%25"},
		{&uri, "uri/nbd%3A//[%3A%3A1]%3A10809/x;conf=iqn.2026%3Aa", "nbd://[::1]:10809/x",
		 "iqn.2026:a"},
		{&uri, "uri/a%2C;escaped=off;conf=%3A", "a%2C", "%3A"},
		{&uri, "uri/%c3%a4%ff;conf=", "\xc3\xa4\xff", ""},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		const struct tcmu_config *config = parse_for(strings[i].handler, strings[i].text);

		assert_string_equal(config->target, strings[i].target);
		assert_string_equal(config->values[CONF].string, strings[i].conf);
		assert_string_equal(config->raw, strchr(strings[i].text, '/') + 1);
	}
	(void) parse_for(&handler, "file//x;product=My%20disk;escaped");
	assert_string_equal(options_product(options), "My disk");
	assert_refused(
		"file//a%2;escaped", -EINVAL,
		"the target has a '%' without two hexadecimal digits: write %25 for a '%'");
	assert_refused(
		"file//a;conf=50%;escaped", -EINVAL,
		"conf has a '%' without two hexadecimal digits: write %25 for a '%'");
	assert_refused("file//a%00b;escaped", -EINVAL, "the target has the control character %00");
	assert_refused("file//a%7fb;escaped", -EINVAL, "the target has the control character %7F");
	assert_refused(
		"file//a;escaped=maybe;conf=%", -EINVAL,
		"the option \"escaped\" is \"maybe\": expected yes|no");
}

static void an_option_of_a_handler_may_have_the_name_of_a_later_one(void **state)
{
	static const struct tcmu_option own[] = {
		{"escaped", TCMU_OPTION_STRING, NULL, NULL, "its own"}, {NULL}};
	static const struct tcmu_handler older = {.subtype = "older", .options = own};

	(void) state;
	assert_int_equal(options_check_table(own, &reason), 0);
	assert_string_equal(parse_for(&older, "older/a%20;escaped=b%20")->target, "a%20");
	assert_string_equal(options_config(options)->values[0].string, "b%20");
}

static void a_handler_may_take_the_string_as_it_is(void **state)
{
	static const struct {
		const char *text, *target;
		bool read_only;
	} strings[] = {
		{"raw/a/b=c;d;;e=f=g", "a/b=c;d;;e=f=g", false},
		{"raw/a;x=1;ro;y=2;product=disk;;", "a;x=1;y=2;;", true},
		{"raw/;ro;rox=1", ";rox=1", true},
		{"raw/", "", false},
		{"raw/a%2Cb;%3B=1", "a%2Cb;%3B=1", false},
		{"raw/a%2Cb;%3B=1;escaped", "a,b;;=1", false},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		const struct tcmu_config *config = parse_for(&raw, strings[i].text);

		assert_string_equal(config->target, strings[i].target);
		assert_string_equal(config->raw, strings[i].text + strlen("raw/"));
		assert_int_equal(config->read_only, strings[i].read_only);
	}
}

static void empty_options_mean_nothing(void **state)
{
	(void) state;
	assert_string_equal(parse_config("file//x;")->target, "/x");
	assert_true(parse_config("file//x;;direct;;")->values[DIRECT].given);
}

static void refusals_name_the_mistake(void **state)
{
	(void) state;
	assert_refused("file", -EINVAL, "the config string has no '/' after the handler's name");
	assert_refused("", -EINVAL, "the config string has no '/' after the handler's name");
	assert_refused(
		"rbd/pool/image", -EINVAL, "the string is for the handler \"rbd\", not \"file\"");
	assert_refused("fi//x", -EINVAL, "the string is for the handler \"fi\", not \"file\"");
	assert_refused(
		"files//x", -EINVAL, "the string is for the handler \"files\", not \"file\"");
	assert_refused("/x", -EINVAL, "the string is for the handler \"\", not \"file\"");
	assert_refused(
		"file//x;depth", -EINVAL, "the option \"depth\" has no value: expected NUMBER");
	assert_refused("file//x;depth=", -EINVAL, "the option \"depth\" is \"\": expected NUMBER");
	assert_refused(
		"file//x;depth=-1", -EINVAL, "the option \"depth\" is \"-1\": expected NUMBER");
	assert_refused("file//x;depth=1;depth=1", -EINVAL, "the option \"depth\" is given twice");
	assert_refused(
		"file//x;mode=medium", -EINVAL,
		"the option \"mode\" is \"medium\": expected slow|fast");
	assert_refused(
		"file//x;direct=maybe", -EINVAL,
		"the option \"direct\" is \"maybe\": expected yes|no");
	assert_refused(
		"file//x;direkt=1", -EINVAL,
		"the file handler has no option \"direkt\"; its options are: direct depth chunk "
		"conf mode ro share vendor product revision sanitize designator "
		"iops bps burst tcmur_cmd_time_out escaped filter");
	assert_refused(
		"file//x;=1", -EINVAL,
		"the file handler has no option \"\"; its options are: direct depth chunk conf "
		"mode ro share vendor product revision sanitize designator "
		"iops bps burst tcmur_cmd_time_out escaped filter");
	assert_refused("file//a\nb", -EINVAL, "the config string has a control character");
}

static void a_string_of_the_kernels_maximum_is_accepted(void **state)
{
	char text[TCMU_CONFIG_MAX + 2] = "file//";

	(void) state;
	memset(text + 6, 'x', TCMU_CONFIG_MAX - 6);
	assert_int_equal(strlen(parse_config(text)->target), TCMU_CONFIG_MAX - 5);
	text[TCMU_CONFIG_MAX] = 'x';
	assert_refused(
		text, -ENAMETOOLONG, "the config string has 256 bytes, at most 255 are possible");
}

static void a_handler_need_not_have_options(void **state)
{
	struct options *none = NULL;

	(void) state;
	assert_int_equal(options_parse("null/;ro=1", &plain, &options, &reason), 0);
	assert_true(options_config(options)->read_only);
	assert_int_equal(options_parse("null/;x=1", &plain, &none, &reason), -EINVAL);
	assert_string_equal(
		reason.text,
		"the null handler has no option \"x\"; its options are: ro share vendor product "
		"revision sanitize designator "
		"iops bps burst tcmur_cmd_time_out escaped filter");
}

static void the_config_owns_its_strings(void **state)
{
	char *text = strdup("file//srv/x;conf=abc");
	const struct tcmu_config *config;

	(void) state;
	assert_non_null(text);
	config = parse_config(text);
	memset(text, '#', strlen(text));
	free(text);
	assert_string_equal(config->subtype, "file");
	assert_string_equal(config->target, "/srv/x");
	assert_string_equal(config->values[CONF].string, "abc");
}

/* ------- strings that would not arrive whole ------- */

static void text_refused(const char *text, int error, const char *why)
{
	int r = options_check_text(text, &reason);

	if (r != error || strcmp(reason.text, why) != 0)
		fail_msg("\"%s\": %d, %s", text, r, reason.text);
}

static void strings_that_would_be_cut_on_the_way_are_refused(void **state)
{
	char text[TCMU_CONFIG_MAX + 2];

	(void) state;
	assert_int_equal(options_check_text("file//srv/disk-1_2.img;direct=1", &reason), 0);
	text_refused(
		"file//a,b", -EINVAL,
		"the config string must not have a comma: the kernel would cut it there; "
		"write %2C, and the option escaped");
	text_refused(
		"file//a:b", -EINVAL,
		"the config string must not have a ':': targetcli refuses it; write %3A, "
		"and the option escaped");
	text_refused(
		"file//a b", -EINVAL,
		"the config string must not have a blank: targetcli would save it cut there; "
		"write %20, and the option escaped");
	text_refused(
		"file//a\n", -EINVAL,
		"the config string must not have a newline: the kernel would cut it there");
	text_refused(
		"file//a\tb", -EINVAL,
		"the config string must not have a tab: the kernel would cut it there");
	text_refused(
		"file//a\x7f", -EINVAL,
		"the config string must not have a control character: the kernel would cut it "
		"there");
	memset(text, 'x', sizeof(text));
	text[TCMU_CONFIG_MAX] = '\0';
	assert_int_equal(options_check_text(text, &reason), 0);
	text[TCMU_CONFIG_MAX] = 'x';
	text[TCMU_CONFIG_MAX + 1] = '\0';
	text_refused(
		text, -ENAMETOOLONG,
		"the config string has 256 bytes: the kernel would cut it after 255");
}

/* ------- subtypes and tables ------- */

static void the_subtype_ends_at_the_slash(void **state)
{
	char subtype[5];

	(void) state;
	assert_true(options_subtype("file//x", subtype, sizeof(subtype)));
	assert_string_equal(subtype, "file");
	assert_false(options_subtype("files//x", subtype, sizeof(subtype)));
	assert_false(options_subtype("/x", subtype, sizeof(subtype)));
	assert_false(options_subtype("file", subtype, sizeof(subtype)));
}

static void a_subtype_is_a_path_element_of_the_bus(void **state)
{
	char longest[65];

	(void) state;
	memset(longest, 'a', sizeof(longest));
	longest[64] = '\0';
	assert_false(options_subtype_valid(longest));
	longest[63] = '\0';
	assert_true(options_subtype_valid(longest));
	assert_true(options_subtype_valid("file_2"));
	assert_false(options_subtype_valid(""));
	assert_false(options_subtype_valid("File"));
	assert_false(options_subtype_valid("a-b"));
	assert_false(options_subtype_valid("a/b"));
}

static void table_refused(struct tcmu_option first, const char *why)
{
	struct tcmu_option two[] = {first, {"other", TCMU_OPTION_BOOL, NULL, NULL, ""}, {NULL}};

	assert_int_equal(options_check_table(two, &reason), -EINVAL);
	assert_string_equal(reason.text, why);
}

static void an_invalid_table_is_refused(void **state)
{
	static const char *const none[] = {NULL};

	(void) state;
	assert_int_equal(options_check_table(table, &reason), 0);
	assert_int_equal(options_check_table(NULL, &reason), 0);
	table_refused(
		(struct tcmu_option){"ro", TCMU_OPTION_BOOL, NULL, NULL, ""},
		"the option \"ro\" is one of the daemon's own");
	table_refused(
		(struct tcmu_option){"other", TCMU_OPTION_BOOL, NULL, NULL, ""},
		"the option \"other\" is in the table twice");
	table_refused(
		(struct tcmu_option){"a;b", TCMU_OPTION_BOOL, NULL, NULL, ""},
		"the option name \"a;b\" is invalid: expected 1 to 31 characters of [a-z0-9_]");
	table_refused(
		(struct tcmu_option){"x", (enum tcmu_option_type) 9, NULL, NULL, ""},
		"the option \"x\" has the unknown type 9");
	table_refused(
		(struct tcmu_option){"x", TCMU_OPTION_CHOICE, NULL, none, ""},
		"the option \"x\" is a choice without values");
	table_refused(
		(struct tcmu_option){"x", TCMU_OPTION_UINT, "many", NULL, ""},
		"the default \"many\" of the option \"x\" is not one of its values");
}

static void the_description_names_every_option(void **state)
{
	char *text = options_describe(&handler);

	(void) state;
	assert_string_equal(
		text,
		"The file's path.\nOptions:\n  ;direct=yes|no  bypass the page cache (default: "
		"no)\n  ;depth=NUMBER  requests at once (default: 7)\n  ;chunk=BYTES[K|M|G|T]  "
		"piece (default: 1M)\n  ;conf=TEXT  configuration file\n  ;mode=slow|fast  how "
		"fast (default: fast)\n  ;ro=yes|no  refuse commands that change the data "
		"(default: no)\n  ;share=yes|no  allow other devices with share=1 on the same "
		"backing "
		"store (default: no)\n  ;vendor=TEXT  vendor in INQUIRY data, up to 8 characters "
		"(default: LIO-ORG)\n  ;product=TEXT  product in INQUIRY data, up to 16 characters "
		"(default: TCMU device)\n  ;revision=TEXT  product revision in INQUIRY data, up to "
		"4 characters (default: 0002)\n  ;sanitize=yes|no  support FORMAT UNIT, SANITIZE "
		"and other commands that act without data (default: no)\n  "
		";designator=config|serial  vendor specific designator in VPD 83h: the config "
		"string, or the serial (default: config)\n  ;iops=NUMBER  maximum of commands a "
		"second; 0: no "
		"limit (default: 0)\n  ;bps=BYTES[K|M|G|T]  maximum of bytes a second; 0: no limit "
		"(default: 0)\n  ;burst=NUMBER  seconds of unused iops and bps that may be used "
		"later (default: 0)\n  ;tcmur_cmd_time_out=NUMBER  seconds until a command is "
		"logged as late; 0: never (default: 30)\n  ;escaped=yes|no  %XX stands for a byte: "
		"%3A :  %2C ,  %3B ;  %20 blank  %25 % (default: no)\n  ;filter=TEXT  "
		"NAME[+OPTION=VALUE]...: a filter above the handler, see tcmu-filters(7); several "
		"are possible, the outermost first");
	free(text);
	text = options_describe(&uri);
	assert_non_null(strstr(text, "%25 % (default: yes)"));
	free(text);
	text = options_describe(&plain);
	assert_true(strncmp(text, "null\nOptions:\n  ;ro", 18) == 0);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_string_is_subtype_and_target, teardown),
		cmocka_unit_test_teardown(options_that_are_not_given_have_their_defaults, teardown),
		cmocka_unit_test_teardown(options_of_every_type_are_decoded, teardown),
		cmocka_unit_test_teardown(a_boolean_has_many_spellings, teardown),
		cmocka_unit_test_teardown(sizes_have_units, teardown),
		cmocka_unit_test_teardown(the_daemon_has_options_for_every_device, teardown),
		cmocka_unit_test_teardown(inquiry_strings_fit_their_fields, teardown),
		cmocka_unit_test_teardown(every_device_can_have_limits, teardown),
		cmocka_unit_test(changed_limits_do_not_make_another_device),
		cmocka_unit_test_teardown(the_time_limit_of_tcmu_runner_is_understood, teardown),
		cmocka_unit_test_teardown(a_string_may_be_percent_encoded, teardown),
		cmocka_unit_test_teardown(
			an_option_of_a_handler_may_have_the_name_of_a_later_one, teardown),
		cmocka_unit_test_teardown(a_handler_may_take_the_string_as_it_is, teardown),
		cmocka_unit_test_teardown(empty_options_mean_nothing, teardown),
		cmocka_unit_test_teardown(refusals_name_the_mistake, teardown),
		cmocka_unit_test_teardown(a_string_of_the_kernels_maximum_is_accepted, teardown),
		cmocka_unit_test_teardown(a_handler_need_not_have_options, teardown),
		cmocka_unit_test_teardown(the_config_owns_its_strings, teardown),
		cmocka_unit_test(strings_that_would_be_cut_on_the_way_are_refused),
		cmocka_unit_test(the_subtype_ends_at_the_slash),
		cmocka_unit_test(a_subtype_is_a_path_element_of_the_bus),
		cmocka_unit_test(an_invalid_table_is_refused),
		cmocka_unit_test(the_description_names_every_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
