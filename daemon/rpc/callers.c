/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filter of the connection sees each message first. It answers the calls of our methods itself,
 * and lets the standard reads pass to sd-bus.
 *
 * A sender keeps its user: the bus gives no unique name twice. So a sender is
 * only forgotten when there are too many.
 */
#include "rpc/callers.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <glib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rate-limit.h"
#include "base/trust.h"

#define SENDERS_MAX 512u /* known at once */
#define HELD_MAX    64u  /* calls whose sender's user is not known yet */
#define USERS       64u  /* limits; users whose uid is the same modulo this share one */

/* Costly reads of a user, and of a sender whose user is not known yet. */
static const struct rate_limits user_limits = {.iops = 8, .burst = 4};
static const struct rate_limits unknown_limits = {.iops = 1, .burst = 4};

enum sender_state {
	SENDER_ASKED, /* the bus will answer */
	SENDER_TRUSTED,
	SENDER_UNTRUSTED,
};

struct sender {
	GList link;
	struct callers *callers;
	char *name; /* the unique one */
	enum sender_state state;
	uid_t uid;                 /* of an untrusted one */
	sd_bus_slot *slot;         /* of the bus's answer */
	struct rate_limit unknown; /* while it is asked */
};

/* A call of one of our methods that waits for the bus's answer. */
struct held_call {
	GList link;
	const struct sender *sender;
	sd_bus_message *call;
};

struct method_table {
	const struct callers_method *methods;
	void *userdata;
};

struct callers {
	sd_bus *connection;
	sd_bus_slot *filter;
	GArray *tables;      /* struct method_table */
	GHashTable *by_name; /* struct sender */
	GQueue senders;      /* the same; the least recent first */
	GQueue held;         /* struct held_call, in the order of their arrival */
	struct rate_limit users[USERS];
};

/* ------- the standard interfaces ------- */

static const struct standard_read {
	const char *interface;
	const char *member;
	bool costly; /* its cost grows with the number of objects */
} standard_reads[] = {
	{"org.freedesktop.DBus.Peer", "Ping", false},
	{"org.freedesktop.DBus.Peer", "GetMachineId", false},
	{"org.freedesktop.DBus.Introspectable", "Introspect", true},
	{"org.freedesktop.DBus.Properties", "Get", false},
	{"org.freedesktop.DBus.Properties", "GetAll", false},
	{"org.freedesktop.DBus.ObjectManager", "GetManagedObjects", true},
};

static const struct standard_read *find_standard_read(sd_bus_message *call)
{
	for (size_t i = 0; i < G_N_ELEMENTS(standard_reads); i++)
		if (sd_bus_message_is_method_call(
			    call, standard_reads[i].interface, standard_reads[i].member))
			return &standard_reads[i];
	return NULL;
}

/* ------- our methods ------- */

int callers_no_object(sd_bus_message *call, sd_bus_error *error)
{
	return sd_bus_error_setf(
		error, SD_BUS_ERROR_UNKNOWN_OBJECT, "there is no such object: %s",
		sd_bus_message_get_path(call));
}

int callers_refuse(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	(void) call;
	(void) userdata;
	return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "the caller was not checked");
}

static const struct callers_method *find_own_method(
	const struct callers *callers, sd_bus_message *call, void **userdata)
{
	for (guint i = 0; i < callers->tables->len; i++) {
		const struct method_table *table = &g_array_index(
			callers->tables, struct method_table, i);

		*userdata = table->userdata;
		for (const struct callers_method *method = table->methods; method->interface;
		     method++)
			if (sd_bus_message_is_method_call(call, method->interface, method->member))
				return method;
	}
	return NULL;
}

static int run_own_method(const struct callers *callers, sd_bus_message *call, sd_bus_error *error)
{
	void *userdata;
	const struct callers_method *method = find_own_method(callers, call, &userdata);

	assert(method);
	if (!sd_bus_message_has_signature(call, method->signature))
		return sd_bus_error_setf(
			error, SD_BUS_ERROR_INVALID_ARGS,
			"%s expects arguments of the types \"%s\"", method->member,
			method->signature);
	return method->run(userdata, call, error);
}

static int refuse_untrusted(const struct sender *sender, sd_bus_message *call, sd_bus_error *error)
{
	static struct log_limit limit = LOG_LIMIT(3, 60);
	unsigned more;

	assert(sender->state == SENDER_UNTRUSTED);
	if (log_limit_pass(&limit, &more))
		log_warning(
			"refused %s on the bus to %s of user %d: only root may call it; a policy "
			"file of the bus permits more than the one of this daemon%s",
			sd_bus_message_get_member(call), sender->name, (int) sender->uid,
			more ? "; more calls were refused since the last message" : "");
	return sd_bus_error_set(
		error, SD_BUS_ERROR_ACCESS_DENIED, "only root may call this method");
}

/* ------- senders ------- */

static void sender_free(struct sender *sender)
{
	sd_bus_slot_unref(sender->slot);
	g_free(sender->name);
	g_free(sender);
}

static void forget_oldest_sender(struct callers *callers)
{
	struct sender *sender = g_queue_peek_head(&callers->senders);

	assert(sender);
	for (GList *link = callers->held.head, *next; link; link = next) {
		struct held_call *held = link->data;

		next = link->next;
		if (held->sender != sender)
			continue;
		(void) sd_bus_reply_method_errorf(
			held->call, SD_BUS_ERROR_LIMITS_EXCEEDED,
			"too many programs call at once; try again");
		g_queue_unlink(&callers->held, &held->link);
		sd_bus_message_unref(held->call);
		g_free(held);
	}
	g_queue_unlink(&callers->senders, &sender->link);
	(void) g_hash_table_remove(callers->by_name, sender->name);
	sender_free(sender);
}

/* Answers the held calls of a sender whose user is known now. */
static void release_held_calls(struct callers *callers, const struct sender *sender)
{
	assert(sender->state != SENDER_ASKED);
	for (GList *link = callers->held.head, *next; link; link = next) {
		struct held_call *held = link->data;
		sd_bus_error error = SD_BUS_ERROR_NULL;
		int r;

		next = link->next;
		if (held->sender != sender)
			continue;
		g_queue_unlink(&callers->held, &held->link);
		r = sender->state == SENDER_TRUSTED ? run_own_method(callers, held->call, &error)
						    : refuse_untrusted(sender, held->call, &error);
		if (r < 0)
			(void) sd_bus_reply_method_errno(held->call, r, &error);
		sd_bus_error_free(&error);
		sd_bus_message_unref(held->call);
		g_free(held);
	}
}

/* A sender whose user the bus does not know is not trusted. */
static int on_sender_user(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct sender *sender = userdata;
	uint32_t uid = UINT32_MAX;

	(void) error;
	assert(sender->state == SENDER_ASKED);
	if (sd_bus_message_is_method_error(reply, NULL) ||
	    sd_bus_message_read(reply, "u", &uid) <= 0)
		uid = UINT32_MAX;
	sender->uid = uid;
	sender->state = uid != UINT32_MAX && trust_user(uid) ? SENDER_TRUSTED : SENDER_UNTRUSTED;
	release_held_calls(sender->callers, sender);
	return 0;
}

static struct sender *sender_new(struct callers *callers, const char *name)
{
	struct sender *sender = g_new0(struct sender, 1);

	if (callers->senders.length >= SENDERS_MAX)
		forget_oldest_sender(callers);
	sender->callers = callers;
	sender->name = g_strdup(name);
	sender->link.data = sender;
	sender->uid = UINT32_MAX;
	rate_limit_set(&sender->unknown, &unknown_limits);
	if (sd_bus_call_method_async(
		    callers->connection, &sender->slot, "org.freedesktop.DBus",
		    "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixUser",
		    on_sender_user, sender, "s", name) < 0)
		sender->state = SENDER_UNTRUSTED;
	g_queue_push_tail_link(&callers->senders, &sender->link);
	(void) g_hash_table_insert(callers->by_name, sender->name, sender);
	return sender;
}

/* NULL: the message has no sender, as on a connection without a bus. */
static struct sender *sender_of(struct callers *callers, sd_bus_message *call)
{
	const char *name = sd_bus_message_get_sender(call);
	struct sender *sender = name ? g_hash_table_lookup(callers->by_name, name) : NULL;

	if (!name)
		return NULL;
	if (!sender)
		return sender_new(callers, name);
	g_queue_unlink(&callers->senders, &sender->link);
	g_queue_push_tail_link(&callers->senders, &sender->link);
	return sender;
}

/* ------- calls ------- */

static int hold_call(
	struct callers *callers, const struct sender *sender, sd_bus_message *call,
	sd_bus_error *error)
{
	struct held_call *held;

	assert(sender->state == SENDER_ASKED);
	if (callers->held.length >= HELD_MAX)
		return sd_bus_error_set(
			error, SD_BUS_ERROR_LIMITS_EXCEEDED,
			"too many programs call at once; try again");
	held = g_new0(struct held_call, 1);
	held->link.data = held;
	held->sender = sender;
	held->call = sd_bus_message_ref(call);
	g_queue_push_tail_link(&callers->held, &held->link);
	return 1;
}

static int take_own_call(
	struct callers *callers, const struct sender *sender, sd_bus_message *call,
	sd_bus_error *error)
{
	switch (sender->state) {
	case SENDER_TRUSTED:
		return run_own_method(callers, call, error);
	case SENDER_UNTRUSTED:
		return refuse_untrusted(sender, call, error);
	default:
		return hold_call(callers, sender, call, error);
	}
}

/* 0: sd-bus may answer. */
static int take_costly_read(struct callers *callers, struct sender *sender, sd_bus_error *error)
{
	struct rate_limit *limit = sender->state == SENDER_ASKED
		? &sender->unknown
		: &callers->users[sender->uid % USERS];

	if (sender->state == SENDER_TRUSTED || rate_limit_take(limit, clock_now_ns(), 0) == 0)
		return 0;
	return sd_bus_error_set(
		error, SD_BUS_ERROR_LIMITS_EXCEEDED,
		"programs of your user read too often; try again in a second");
}

static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct callers *callers = userdata;
	const struct standard_read *read;
	struct sender *sender;
	uint8_t type;
	int r;

	if (sd_bus_message_get_type(message, &type) < 0 || type != SD_BUS_MESSAGE_METHOD_CALL)
		return 0;
	read = find_standard_read(message);
	if (read && !read->costly)
		return 0;
	sender = sender_of(callers, message);
	if (!sender)
		return sd_bus_error_set(
			error, SD_BUS_ERROR_ACCESS_DENIED, "the call has no sender");
	if (read)
		return take_costly_read(callers, sender, error);
	if (sd_bus_message_is_method_call(message, "org.freedesktop.DBus.Properties", "Set"))
		return sd_bus_error_set(
			error, SD_BUS_ERROR_PROPERTY_READ_ONLY, "no property can be set");
	if (!find_own_method(callers, message, &(void *){NULL}))
		return sd_bus_error_set(
			error, SD_BUS_ERROR_UNKNOWN_METHOD, "there is no such method");
	r = take_own_call(callers, sender, message, error);
	return r ? r : 1; /* 0, of a call that wants no reply, would have sd-bus go on */
}

/* ------- the beginning and the end ------- */

void callers_add(struct callers *callers, const struct callers_method *methods, void *userdata)
{
	struct method_table table = {.methods = methods, .userdata = userdata};

	assert(methods[0].interface && methods[0].run);
	g_array_append_val(callers->tables, table);
}

int callers_new(sd_bus *connection, struct callers **ret)
{
	struct callers *callers = g_new0(struct callers, 1);
	int r;

	callers->connection = connection;
	callers->tables = g_array_new(FALSE, FALSE, sizeof(struct method_table));
	callers->by_name = g_hash_table_new(g_str_hash, g_str_equal);
	g_queue_init(&callers->senders);
	g_queue_init(&callers->held);
	for (unsigned i = 0; i < USERS; i++)
		rate_limit_set(&callers->users[i], &user_limits);
	r = sd_bus_add_filter(connection, &callers->filter, on_message, callers);
	if (r < 0) {
		callers_free(callers);
		return r;
	}
	*ret = callers;
	return 0;
}

void callers_free(struct callers *callers)
{
	struct held_call *held;
	GList *link;

	if (!callers)
		return;
	sd_bus_slot_unref(callers->filter);
	while ((link = g_queue_pop_head_link(&callers->held))) {
		held = link->data;
		sd_bus_message_unref(held->call);
		g_free(held);
	}
	while ((link = g_queue_pop_head_link(&callers->senders)))
		sender_free(link->data);
	assert(g_queue_is_empty(&callers->held));
	g_hash_table_unref(callers->by_name);
	(void) g_array_unref(callers->tables);
	g_free(callers);
}
