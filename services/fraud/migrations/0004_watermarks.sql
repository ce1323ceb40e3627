-- Of no tenant: how complete the projection is.
grant select on servicekit.watermark to :"reader_role";
