package dev.whence.influence.stage;

import dev.whence.schemas.avro.InfluenceMerge;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.jspecify.annotations.Nullable;

/**
 * The merger's store of queries that are not closed, and of answers that came before their
 * question. In memory beside it: when each is due, which is the oldest, and how many bytes they
 * take, made anew from the store after a restart.
 */
final class OpenQueries {
  /** What a query takes beside its bytes: its name, and its place in the orders. */
  static final int PLACE_BYTES = 1 << 10;

  private final KeyValueStore<String, InfluenceMerge> store;
  private final Map<String, Place> places = new HashMap<>();
  private final TreeSet<Place> due =
      new TreeSet<>(Comparator.comparingLong(Place::dueAt).thenComparing(Place::queryId));

  /** Without answers that wait for their question. */
  private final TreeSet<Place> oldest =
      new TreeSet<>(Comparator.comparingLong(Place::since).thenComparing(Place::queryId));

  private long openedBytes;
  private long unopenedBytes;

  private record Place(String queryId, boolean opened, long since, long dueAt, long bytes) {
    static Place of(InfluenceMerge merge) {
      boolean opened = merge.getOpen() != null;
      return new Place(
          merge.getQueryId(),
          opened,
          merge.getSince().toEpochMilli(),
          opened
              ? merge.getOpen().getDeadline().toEpochMilli()
              : merge.getSince().plus(MergeProcessor.CLOSED_FOR).toEpochMilli(),
          PLACE_BYTES + Fitting.size(merge));
    }
  }

  /** What is in the store. */
  OpenQueries(KeyValueStore<String, InfluenceMerge> store) {
    this.store = store;
    try (KeyValueIterator<String, InfluenceMerge> all = store.all()) {
      while (all.hasNext()) {
        KeyValue<String, InfluenceMerge> one = all.next();
        add(Place.of(one.value));
      }
    }
  }

  @Nullable InfluenceMerge get(String queryId) {
    return store.get(queryId);
  }

  void put(InfluenceMerge merge) {
    store.put(merge.getQueryId(), merge);
    remove(merge.getQueryId());
    add(Place.of(merge));
  }

  void delete(String queryId) {
    store.delete(queryId);
    remove(queryId);
  }

  private void add(Place place) {
    places.put(place.queryId(), place);
    due.add(place);
    if (place.opened()) {
      oldest.add(place);
      openedBytes += place.bytes();
    } else {
      unopenedBytes += place.bytes();
    }
  }

  private void remove(String queryId) {
    Place place = places.remove(queryId);
    if (place == null) {
      return;
    }
    due.remove(place);
    if (place.opened()) {
      oldest.remove(place);
      openedBytes -= place.bytes();
    } else {
      unopenedBytes -= place.bytes();
    }
  }

  /** One that is due before a time; the earliest. */
  Optional<InfluenceMerge> dueBefore(long time) {
    return due.isEmpty() || due.first().dueAt() >= time
        ? Optional.empty()
        : Optional.of(store.get(due.first().queryId()));
  }

  /** The one that was heard of first, of more than so many bytes of queries that were asked. */
  Optional<InfluenceMerge> oldestBeyond(long most) {
    return openedBytes <= most
        ? Optional.empty()
        : Optional.of(store.get(oldest.first().queryId()));
  }

  /** Bytes of all answers that wait for a question, if these were among them. */
  long unopenedBytesWith(InfluenceMerge unopened) {
    Place before = places.get(unopened.getQueryId());
    return unopenedBytes - (before == null ? 0 : before.bytes()) + Place.of(unopened).bytes();
  }
}
