// Eventfds as the threads wake each other with them. The descriptor is non-blocking or nearly
// empty: neither call ever waits.
#pragma once

namespace purgeline {

// Makes it readable. A full counter is as good as a written one.
void write_eventfd(int fd);
void drain_eventfd(int fd);

}  // namespace purgeline
